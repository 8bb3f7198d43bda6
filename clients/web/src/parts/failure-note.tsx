import type { Failure } from "../failures";

/** Message about a failure. */
export function FailureNote({ failure, dismiss }: { failure: Failure; dismiss?: () => void }) {
  return (
    <div class="note" role="alert" data-failure={failure.code}>
      <div>
        <strong>{failure.title}</strong>
        <p>{failure.advice}</p>
      </div>
      {dismiss && (
        <button type="button" class="plain" onClick={dismiss}>
          Dismiss
        </button>
      )}
    </div>
  );
}
