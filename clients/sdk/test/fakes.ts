import { vi } from "vitest";
import type { Connection } from "../src/connection/connection";
import { Emitter } from "../src/emitter";
import { WeirError } from "../src/errors";
import type { Notices, Snapshot, WireMember, WireTrack } from "../src/protocol";

export const wireMember = (id: string): WireMember => ({ id, name: id, metadata: {}, joinedAt: 1_000 });
export const dataTrack = (id: number, of: string): WireTrack => ({
  id,
  member: of,
  kind: "data",
  codec: "text",
  muted: false,
});

/** Fake connection that records requests and chunks. */
export class FakeConnection extends Emitter<{
  notice: [event: string, argument: unknown];
  media: [header: unknown, payload: Uint8Array];
  lost: [error: WeirError];
}> {
  ended = false;
  backlog = 0;
  roundTripMs = 1;
  readonly asked: [event: string, argument: unknown][] = [];
  readonly sent: [header: unknown, payload: Uint8Array][] = [];
  answer: (event: string, argument?: unknown) => unknown = () => ({});

  async request(event: string, argument: unknown): Promise<unknown> {
    this.asked.push([event, argument]);
    return this.answer(event, argument);
  }

  media(header: unknown, payload: Uint8Array): void {
    this.sent.push([header, payload]);
  }

  notice<E extends keyof Notices>(event: E, argument: Notices[E]): void {
    this.emit("notice", event, argument);
  }
}

/** Fake reconnector whose connection is lost and replaced on demand. */
export class FakeReconnector extends Emitter<{ up: [Connection]; down: [WeirError]; failed: [WeirError] }> {
  connection: FakeConnection | undefined = new FakeConnection();
  readonly replace = vi.fn();
  readonly close = vi.fn();

  lose(): void {
    if (this.connection) this.connection.ended = true;
    this.connection = undefined;
    this.emit("down", new WeirError("disconnected", "gone"));
  }

  restore(connection: FakeConnection): void {
    this.connection = connection;
    this.emit("up", connection as unknown as Connection);
  }
}

export const snapshot = (
  version: number,
  members: string[],
  tracks: WireTrack[] = [],
  self = "me",
): Snapshot => ({
  room: { id: "r", metadata: {}, maxMembers: 10, createdAt: 1 },
  self: wireMember(self),
  members: [self, ...members].map(wireMember),
  tracks,
  version,
});
