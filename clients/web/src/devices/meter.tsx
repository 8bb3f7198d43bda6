import { useEffect, useRef } from "preact/hooks";

/** Level that counts as silence, in decibels. */
const SILENCE_DB = -50;

/** Level meter of a microphone. */
export function Meter({ track }: { track: MediaStreamTrack | undefined }) {
  const bar = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (!track) return;
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    const source = context.createMediaStreamSource(new MediaStream([track]));
    source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    let frame = 0;
    const measure = () => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, each) => sum + each * each, 0) / samples.length;
      const level = Math.max(0, 1 - (10 * Math.log10(power + 1e-10)) / SILENCE_DB);
      bar.current?.style.setProperty("--level", level.toFixed(2));
      frame = requestAnimationFrame(measure);
    };
    measure();
    return () => {
      cancelAnimationFrame(frame);
      source.disconnect();
      context.close();
    };
  }, [track]);
  return (
    <span class="meter" role="img" aria-label={track ? "The microphone's level" : "The microphone is off"}>
      <span ref={bar} />
    </span>
  );
}
