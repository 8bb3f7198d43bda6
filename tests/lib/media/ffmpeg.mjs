import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

const PICTURE = ["-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30"];
const TONE = ["-re", "-f", "lavfi", "-i", "sine=frequency=1000:sample_rate=48000"];
const OPUS = ["-c:a", "libopus", "-b:a", "32k"];
const WEBM = ["-f", "webm", "-cluster_time_limit", "500"];

/** Live streams by name, as ffmpeg's arguments. */
const LIVE = {
  /** VP8 and Opus, with a key frame every two seconds and a cluster every half second. */
  webm: [
    ...[...PICTURE, ...TONE],
    ...["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "800k", "-g", "60"],
    ...[...OPUS, ...WEBM],
  ],
  /** Opus only. */
  sound: [...TONE, ...OPUS, ...WEBM],
  /** H.264, with a key frame and a fragment every second. */
  mp4: [
    ...PICTURE,
    ...["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline"],
    ...["-pix_fmt", "yuv420p", "-g", "30", "-f", "mp4"],
    ...["-movflags", "frag_keyframe+empty_moov+default_base_moof"],
  ],
};

/** Yields a live stream of `seconds` in real time. */
export async function* live(seconds, what = "webm") {
  const args = ["-v", "error", "-nostdin", ...LIVE[what], "-t", String(seconds), "-"];
  const ffmpeg = spawn("ffmpeg", args, { stdio: ["ignore", "pipe", "inherit"] });
  const exit = new Promise((resolve, reject) => {
    ffmpeg.once("error", reject);
    ffmpeg.once("close", resolve);
  });
  exit.catch(() => {});
  yield* ffmpeg.stdout;
  const code = await exit;
  if (code !== 0) throw new Error(`ffmpeg ends with ${code}`);
}

/** Decodes a file and returns its number of frames as `{ video, audio }`. */
export async function frames(file) {
  const { stdout } = await run("ffprobe", [
    ...["-v", "error", "-count_frames", "-of", "json"],
    ...["-show_entries", "stream=codec_type,nb_read_frames", file],
  ]);
  const streams = JSON.parse(stdout).streams.map((each) => [each.codec_type, Number(each.nb_read_frames)]);
  return Object.fromEntries(streams);
}

/** Returns ffmpeg's complaints about a file; empty if it is intact. */
export async function complaints(file) {
  const { stdout, stderr } = await run("ffmpeg", ["-v", "error", "-nostdin", "-i", file, "-f", "null", "-"]);
  return stdout + stderr;
}
