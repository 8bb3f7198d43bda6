/** What a node refuses a request with: the contract's codes, in its order. */
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

/** What goes wrong on this side of the connection. */
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

/** Retryable codes: those of the protocol, and those of the SDK. */
const RETRYABLE: ReadonlySet<string> = new Set([
  "rate_limited",
  "unavailable",
  "draining",
  "internal",
  "disconnected",
  "timeout",
  "device_busy",
]);

/** Every error of the SDK. `code` is for programs, `message` for people. */
export class WeirError extends Error {
  override readonly name = "WeirError";
  /** One of the codes above; a node newer than this SDK may send one that is not among them. */
  readonly code: ErrorCode;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.retryable = options.retryable ?? RETRYABLE.has(code);
  }
}

/** The error in a refusal of a node. */
export function refusal(error: { code: string; message: string; retryable: boolean }): WeirError {
  return new WeirError(error.code as ErrorCode, error.message, { retryable: error.retryable });
}

/** The error of a capture that the browser refused; `what` is the camera, the microphone or the screen. */
export function captureError(what: string, cause: unknown): WeirError {
  if (cause instanceof WeirError) return cause;
  const name = cause instanceof Error ? cause.name : "";
  const reason = cause instanceof Error ? cause.message : String(cause);
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return new WeirError("permission_denied", `the ${what} is not permitted: ${reason}`, { cause });
    case "NotFoundError":
    case "OverconstrainedError":
      return new WeirError("device_not_found", `there is no such ${what}: ${reason}`, { cause });
    case "NotReadableError":
    case "AbortError":
      return new WeirError("device_busy", `the ${what} cannot be read: ${reason}`, { cause });
    default:
      return new WeirError("not_supported", `the ${what} cannot be captured here: ${reason}`, { cause });
  }
}

/** Converts `error` to a {@link WeirError}. An error of another type is a bug in the page, and not retryable. */
export function asWeirError(error: unknown): WeirError {
  if (error instanceof WeirError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new WeirError("internal", message, { retryable: false, cause: error });
}

/** Creates the error of every call after the end; `cause` is the error that ended it. */
export function closedError(cause?: WeirError): WeirError {
  const message = `the connection was closed${cause ? `: ${cause.message}` : ""}; connect again`;
  return new WeirError("closed", message, cause ? { cause } : {});
}
