/** Resamples by linear interpolation. Returns the same array if the rates are equal. */
export function resample(samples: Float32Array, from: number, to: number): Float32Array {
  if (from === to) return samples;
  const length = Math.round((samples.length * to) / from);
  const result = new Float32Array(length);
  for (let each = 0; each < length; each++) {
    const place = (each * from) / to;
    const before = Math.floor(place);
    const one = samples[before] ?? 0;
    const other = samples[before + 1] ?? one;
    result[each] = one + (other - one) * (place - before);
  }
  return result;
}
