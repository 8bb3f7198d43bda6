/** Short codec names, each with the lowest profile of the WebCodecs registry that it may stand for. */
const SHORT: Readonly<Record<string, string>> = {
  vp9: "vp09.00.10.08",
  vp09: "vp09.00.10.08",
  h264: "avc1.42E01F",
  avc1: "avc1.42E01F",
  av1: "av01.0.04M.08",
  av01: "av01.0.04M.08",
};

/**
 * Normalises `codec` to the spelling that browsers accept. Programs write `VP8`, `Opus` or `AVC1.42e01f`, but
 * browsers compare bytes, and the registry uses lower case.
 */
export function normalCodec(codec: string): string {
  const trimmed = codec.trim();
  if (trimmed.includes("/")) return mimeType(trimmed);
  const spelled = codecName(trimmed);
  // MP4 has another name for VP8 than the registry.
  if (spelled === "vp08" || spelled.startsWith("vp08.")) return "vp8";
  return SHORT[spelled] ?? spelled;
}

/**
 * Normalises a codec string: the family in lower case; profile and level in upper case, as in `av01.0.04M.08`
 * and `hvc1.1.6.L93.B0`.
 */
function codecName(codec: string): string {
  const [family = "", ...rest] = codec.split(".");
  return [family.toLowerCase(), ...rest.map((each) => each.toUpperCase())].join(".");
}

/** Normalises a MIME type. Type, subtype and parameter names are case-insensitive (RFC 6838, 4.2). */
function mimeType(type: string): string {
  const [essence = "", ...parameters] = type.split(";");
  const spelled = parameters
    .map((each) => /^\s*([^=\s]+)\s*=\s*"?([^"]*?)"?\s*$/.exec(each))
    .filter((match) => match !== null)
    .map(([, name = "", value = ""]) => {
      const codecs = value.split(",").map((each) => codecName(each.trim()));
      return name.toLowerCase() === "codecs"
        ? `codecs="${codecs.join(",")}"`
        : `${name.toLowerCase()}="${value}"`;
    });
  return [essence.trim().toLowerCase(), ...spelled].join(";");
}
