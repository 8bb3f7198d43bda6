import { useEffect, useRef } from "preact/hooks";
import type { Failure } from "./failures";
import { Logo } from "./parts/icons";

interface Props {
  /** What ended it; nothing if one left. */
  why: Failure | undefined;
  again: () => void;
  start: () => void;
}

/** After a room. */
export function Ended({ why, again, start }: Props) {
  const title = useRef<HTMLHeadingElement>(null);
  // Whoever cannot see the page hears that it is another one.
  useEffect(() => title.current?.focus(), []);
  return (
    <main class="ended">
      <div class="card" {...(why ? { "data-failure": why.code } : {})}>
        <Logo />
        <h1 ref={title} tabIndex={-1}>
          {why ? why.title : "You have left the room"}
        </h1>
        <p>{why ? why.advice : "The others go on without you. You can come back at any time."}</p>
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
