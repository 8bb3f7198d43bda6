import { type ErrorCode, WeirError } from "@weir/sdk";

/** Description of a failure, and advice for the user. */
interface Description {
  title: string;
  advice: string;
}

/** Descriptions of all error codes. */
const DESCRIPTIONS = {
  bad_request: {
    title: "Invalid input",
    advice: "A room's id has letters, digits, “-” and “_”. Check what you typed, or the link.",
  },
  unauthorized: {
    title: "You are not signed in",
    advice: "This server requires access. Ask its operator.",
  },
  forbidden: {
    title: "You may not do this",
    advice: "Your access does not include it. Ask the operator of this server.",
  },
  room_not_found: {
    title: "There is no such room",
    advice: "It may have closed, or the link is incomplete. Ask for a new link, or create a room.",
  },
  room_exists: {
    title: "This room already exists",
    advice: "Join it, or create one with another id.",
  },
  room_full: {
    title: "This room is full",
    advice: "Try again when somebody has left.",
  },
  member_not_found: {
    title: "They have left",
    advice: "The recipient is no longer in the room.",
  },
  track_not_found: { title: "That has ended", advice: "It is no longer shared." },
  already_joined: { title: "You are already in a room", advice: "Leave it before you join another one." },
  not_joined: { title: "You are not in a room", advice: "Join one first." },
  not_track_owner: { title: "That is not yours", advice: "Only the person who shares it can change it." },
  too_large: { title: "That is too long", advice: "Make it shorter, or send it in parts." },
  rate_limited: { title: "That was too fast", advice: "Wait a moment, then try again." },
  unavailable: {
    title: "The server is temporarily unavailable",
    advice: "Try again in a moment.",
  },
  draining: { title: "The server is being replaced", advice: "Try again: another server takes over." },
  internal: {
    title: "The server failed",
    advice: "Try again. If the problem persists, tell the operator of this server.",
  },
  disconnected: {
    title: "The server cannot be reached",
    advice: "Check your network connection, then try again.",
  },
  timeout: { title: "The server did not answer", advice: "Check your network connection, then try again." },
  aborted: { title: "Canceled", advice: "Try again when you are ready." },
  closed: { title: "The connection was closed", advice: "Join the room again." },
  not_supported: {
    title: "This browser cannot do that",
    advice:
      "Cameras and microphones work over https and on localhost only, in a current Chrome, Edge, Firefox or Safari.",
  },
  permission_denied: {
    title: "You have not allowed it",
    advice:
      "Allow the camera or the microphone next to the address, then try again. You can also join without.",
  },
  device_not_found: {
    title: "No such device",
    advice: "Plug in a camera or a microphone, or choose another one. You can also join without.",
  },
  device_busy: {
    title: "The device is in use",
    advice: "Another program uses it. Close that program, then try again. You can also join without.",
  },
  undecodable: {
    title: "This cannot be decoded",
    advice: "It is damaged, or encrypted with another key. Ask for the complete link.",
  },
} satisfies Record<ErrorCode, Description>;

/** Failure, as the app shows it. */
export interface Failure extends Description {
  code: ErrorCode;
}

/** Describes `error`. `what` names the device or action that failed. */
export function failure(error: unknown, what?: string): Failure {
  // A newer node may send a code that this app does not know.
  const known = error instanceof WeirError && error.code in DESCRIPTIONS;
  const code = known ? error.code : "internal";
  // The node's address comes from the page's URL. The error says how to correct it.
  const address = known && code === "bad_request" && error.message.startsWith("url: ");
  const { title, advice } = address
    ? { title: "The server's address is wrong", advice: `${error.message.slice("url: ".length)}.` }
    : DESCRIPTIONS[code];
  return { code, title: what === undefined ? title : `${what}: ${title.toLowerCase()}`, advice };
}

/** Video or audio that this browser cannot play. */
export const UNPLAYABLE: Failure = {
  code: "not_supported",
  title: "This browser cannot play it",
  advice:
    "It has a format that this browser does not support. Try a current Chrome, Edge, Firefox or Safari.",
};

/** Room that was closed while one was in it. */
export const CLOSED_ROOM: Failure = {
  code: "room_not_found",
  title: "This room was closed",
  advice: "Create another one, or ask for a new link.",
};

/** Invalid key in the link of a room. */
export const BAD_KEY: Failure = {
  code: "undecodable",
  title: "The link is not complete",
  advice: "This room is encrypted, and the key at the end of its link is missing. Ask for the complete link.",
};

/** Text that is neither a room's id nor a link. */
export const NO_ROOM: Failure = {
  code: "bad_request",
  title: "This is neither a room nor a link",
  advice: "Type a room's id, or paste its complete link.",
};
