import type { Room } from "@weir/sdk";
import type { Media } from "../devices/use-media";
import { FailureNote } from "../parts/failure-note";
import { Sound } from "../parts/icons";

/** Messages about the connection, blocked audio and failed devices. */
export function Banners({ room, media }: { room: Room; media: Media }) {
  return (
    <div class="banners">
      {room.state === "reconnecting" && (
        <div class="banner" role="status" data-state="reconnecting" data-failure="disconnected">
          <span class="spinner" />
          <span>
            <strong>Connection lost.</strong> Reconnecting, with everything that you share.
          </span>
        </div>
      )}
      {room.audioBlocked && (
        <div class="banner" role="status">
          <Sound />
          <span>The browser blocks sound until you allow it.</span>
          <button
            type="button"
            class="primary"
            data-testid="enable-audio"
            onClick={() => room.startAudio().catch(() => {})}
          >
            Turn on sound
          </button>
        </div>
      )}
      {media.problem && <FailureNote failure={media.problem} dismiss={media.dismiss} />}
    </div>
  );
}
