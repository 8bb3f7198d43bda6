/** Error codes of the contract, in its order: the reasons why a node refuses a request. */
export const CONTRACT_CODES = [
  "bad_request",
  "unauthorized",
  "forbidden",
  "room_not_found",
  "track_not_found",
  "member_not_found",
  "room_exists",
  "room_full",
  "already_joined",
  "not_joined",
  "not_track_owner",
  "too_large",
  "rate_limited",
  "unavailable",
  "draining",
  "internal",
] as const;

/** Error codes of the SDK: failures on this side of the connection. */
export const LOCAL_CODES = [
  "disconnected",
  "timeout",
  "aborted",
  "closed",
  "not_supported",
  "permission_denied",
  "device_not_found",
  "device_busy",
  "undecodable",
] as const;

export type ErrorCode = (typeof CONTRACT_CODES)[number] | (typeof LOCAL_CODES)[number];

/** Codes that are retryable by default: the contract's, then the SDK's. */
const RETRYABLE: ReadonlySet<string> = new Set([
  "rate_limited",
  "unavailable",
  "draining",
  "internal",
  "disconnected",
  "timeout",
  "device_busy",
]);

/**
 * Error of every call that fails. Programs branch on `code`; `message` is for people.
 *
 * ```ts
 * try {
 *   await room.join("standup");
 * } catch (error) {
 *   if (error instanceof WeirError && error.retryable) scheduleRetry();
 *   else throw error;
 * }
 * ```
 */
export class WeirError extends Error {
  override readonly name = "WeirError";
  /** One of {@link CONTRACT_CODES} or {@link LOCAL_CODES}. A newer node may send another one. */
  readonly code: ErrorCode;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.retryable = options.retryable ?? RETRYABLE.has(code);
  }
}

/** Creates the error of a request that the node refused. */
export function refusal(error: { code: string; message: string; retryable: boolean }): WeirError {
  return new WeirError(error.code as ErrorCode, error.message, { retryable: error.retryable });
}

/** Creates the error of a failed capture. `what` is the camera, the microphone or the screen. */
export function captureError(what: string, cause: unknown): WeirError {
  if (cause instanceof WeirError) return cause;
  const name = cause instanceof Error ? cause.name : "";
  const reason = cause instanceof Error ? cause.message : String(cause);
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return new WeirError("permission_denied", `access to the ${what} was denied: ${reason}`, { cause });
    case "NotFoundError":
    case "OverconstrainedError":
      return new WeirError("device_not_found", `no such ${what}: ${reason}`, { cause });
    case "NotReadableError":
    case "AbortError":
      return new WeirError("device_busy", `the ${what} cannot be read: ${reason}`, { cause });
    default:
      return new WeirError("not_supported", `this browser cannot capture the ${what}: ${reason}`, { cause });
  }
}

/** Converts `error` to a {@link WeirError}. An error of another type is a bug in the page, hence not retryable. */
export function asWeirError(error: unknown): WeirError {
  if (error instanceof WeirError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new WeirError("internal", message, { retryable: false, cause: error });
}

/** Creates the error of every call on a closed room. `cause` is the error that closed it, if any. */
export function closedError(cause?: WeirError): WeirError {
  const message = `the connection was closed${cause ? `: ${cause.message}` : ""}; connect again`;
  return new WeirError("closed", message, cause ? { cause } : {});
}
