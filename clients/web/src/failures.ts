import { type ErrorCode, WeirError } from "@weir/sdk";

/** A failure in words: what is the matter, and what to do about it. */
export interface Words {
  title: string;
  advice: string;
}

const WORDS = {
  bad_request: {
    title: "That was not understood",
    advice: "A room's id has letters, digits, “-” and “_”. Look at what was typed, or at the link.",
  },
  unauthorized: {
    title: "You are not signed in",
    advice: "This server lets in only those who were given access. Ask whoever runs it.",
  },
  forbidden: {
    title: "You may not do this",
    advice: "Your access does not include it. Ask whoever runs this server.",
  },
  room_not_found: {
    title: "There is no such room",
    advice: "It may have closed, or the link is incomplete. Ask for a new link, or create a room.",
  },
  room_exists: {
    title: "This room exists already",
    advice: "Join it, or create one with another id.",
  },
  room_full: {
    title: "This room is full",
    advice: "Everybody who fits is in it. Try again when somebody has left.",
  },
  member_not_found: {
    title: "They have left",
    advice: "Whom this was meant for is not in the room any more.",
  },
  track_not_found: { title: "That has ended", advice: "It is not shared any more." },
  already_joined: { title: "You are in a room already", advice: "Leave it before you join another one." },
  not_joined: { title: "You are not in a room", advice: "Join one first." },
  not_track_owner: { title: "That is not yours", advice: "Only those who share something can change it." },
  too_large: { title: "That is too long", advice: "Make it shorter, or send it in parts." },
  rate_limited: { title: "That was too fast", advice: "Wait a moment, then try again." },
  unavailable: {
    title: "The server cannot do this now",
    advice: "Part of it is away. This passes by itself: try again in a moment.",
  },
  draining: { title: "The server is being replaced", advice: "Try again: another one takes over." },
  internal: { title: "The server made a mistake", advice: "Try again. If it stays, tell whoever runs it." },
  disconnected: {
    title: "The server cannot be reached",
    advice: "Look at your network connection, then try again.",
  },
  timeout: { title: "The server did not answer", advice: "Look at your network connection, then try again." },
  aborted: { title: "It was stopped", advice: "Try again when you are ready." },
  closed: { title: "The connection was closed", advice: "Join the room again." },
  not_supported: {
    title: "This browser cannot do that",
    advice:
      "Cameras and microphones work over https and on localhost only, in a current Chrome, Edge, Firefox or Safari.",
  },
  permission_denied: {
    title: "You have not allowed it",
    advice:
      "Allow the camera or the microphone beside the address, then try again. You can also join without.",
  },
  device_not_found: {
    title: "There is no such device",
    advice: "Plug in a camera or a microphone, or choose another one. You can also join without.",
  },
  device_busy: {
    title: "The device is in use",
    advice: "Another program has it. Close that, then try again. You can also join without.",
  },
  undecodable: {
    title: "This cannot be decoded",
    advice: "It is damaged, or encrypted with another key. Ask for the whole link.",
  },
} satisfies Record<ErrorCode, Words>;

/** What went wrong, for people; `code` says which it is. */
export interface Failure extends Words {
  code: ErrorCode;
}

export function failure(error: unknown, what?: string): Failure {
  // A node newer than this app may have codes that are not known here.
  const known = error instanceof WeirError && error.code in WORDS;
  const code = known ? error.code : "internal";
  // The node's address comes from the page's own URL: the error says what is wrong with it, and what to
  // write.
  const address = known && code === "bad_request" && error.message.startsWith("url: ");
  const { title, advice } = address
    ? { title: "The server's address is wrong", advice: `${error.message.slice("url: ".length)}.` }
    : WORDS[code];
  return { code, title: what === undefined ? title : `${what}: ${title.toLowerCase()}`, advice };
}

/** Failure to decode a member's video or audio. */
export const UNPLAYABLE: Failure = {
  code: "not_supported",
  title: "This browser cannot play it",
  advice: "It is sent in a format that is not known here. Try a current Chrome, Edge, Firefox or Safari.",
};

/** The link's key is none. */
export const BAD_KEY: Failure = {
  code: "undecodable",
  title: "The link is not complete",
  advice: "This room is encrypted, and the key at the end of its link is cut off. Ask for the whole link.",
};

/** What was typed to join is nothing that could be joined. */
export const NO_ROOM: Failure = {
  code: "bad_request",
  title: "This is neither a room nor a link",
  advice: "Type a room's id, or paste the whole link that you were sent.",
};
