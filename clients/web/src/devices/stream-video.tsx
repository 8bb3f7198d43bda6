import { useEffect, useRef } from "preact/hooks";

/** Own camera, mirrored. */
export function SelfView({ track }: { track: MediaStreamTrack }) {
  return <StreamVideo track={track} class="mirrored" label="Your own picture" />;
}

/** Own shared screen. */
export function OwnScreen({ track }: { track: MediaStreamTrack }) {
  return <StreamVideo track={track} label="Your shared screen" />;
}

function StreamVideo({ track, label, ...rest }: { track: MediaStreamTrack; label: string; class?: string }) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (video.current) video.current.srcObject = new MediaStream([track]);
  }, [track]);
  return <video ref={video} aria-label={label} autoplay muted playsInline {...rest} />;
}
