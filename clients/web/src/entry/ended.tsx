import { useEffect, useRef } from "preact/hooks";
import type { Failure } from "../failures";
import { Logo } from "../parts/icons";

interface Props {
  /** Failure that ended the room; `undefined` after leaving. */
  why: Failure | undefined;
  again: () => void;
  start: () => void;
}

/** Page after a room. */
export function Ended({ why, again, start }: Props) {
  const title = useRef<HTMLHeadingElement>(null);
  // Screen readers announce the new page.
  useEffect(() => title.current?.focus(), []);
  return (
    <main class="ended">
      <div class="card" {...(why ? { "data-failure": why.code } : {})}>
        <Logo />
        <h1 ref={title} tabIndex={-1}>
          {why ? why.title : "You have left the room"}
        </h1>
        <p>{why ? why.advice : "The call continues without you. You can rejoin at any time."}</p>
        <div class="row">
          <button type="button" class="primary" onClick={again}>
            Join again
          </button>
          <button type="button" onClick={start}>
            Start page
          </button>
        </div>
      </div>
    </main>
  );
}
