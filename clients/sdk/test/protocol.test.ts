import { expect, test } from "vitest";
import { CONTRACT_CODES } from "../src/errors";
import {
  LEAVE_REASONS,
  NOTICES,
  type Notices,
  type ReceivedHeader,
  type Requests,
  type RoomInfo,
  type Snapshot,
  type WireMember,
  type WireTrack,
} from "../src/protocol";

/** Fixtures that the nodes' tests read too. */
const FIXTURES = import.meta.glob<Record<string, unknown>[]>("../../../tests/fixtures/protocol/*.json", {
  eager: true,
  import: "default",
});
const CONTRACT = import.meta.glob<string>("../../../docs/protocol.md", {
  eager: true,
  query: "?raw",
  import: "default",
});

function fixtures(name: string): Record<string, unknown>[] {
  const found = FIXTURES[`../../../tests/fixtures/protocol/${name}.json`];
  if (!found) throw new Error(`no fixture ${name}`);
  return found;
}

/** Type of a value at run time. */
type Kind = "string" | "number" | "boolean" | "json" | { object: Shape } | { list: Shape };
type Shape = Record<string, { is: Kind; optional: boolean }>;
/** Shape with the keys of `T`, each optional exactly if it is in `T`. */
type ShapeOf<T> = {
  [K in keyof Required<T>]: { is: Kind; optional: Record<never, never> extends Pick<T, K> ? true : false };
};

const must = <const K extends Kind>(is: K) => ({ is, optional: false }) as const;
const may = <const K extends Kind>(is: K) => ({ is, optional: true }) as const;

const ROOM = {
  id: must("string"),
  metadata: must("json"),
  maxMembers: must("number"),
  createdAt: must("number"),
} satisfies ShapeOf<RoomInfo>;
const MEMBER = {
  id: must("string"),
  name: must("string"),
  metadata: must("json"),
  joinedAt: must("number"),
} satisfies ShapeOf<WireMember>;
const TRACK = {
  id: must("number"),
  member: must("string"),
  kind: must("string"),
  source: may("string"),
  name: may("string"),
  codec: must("string"),
  width: may("number"),
  height: may("number"),
  frameRate: may("number"),
  sampleRate: may("number"),
  channels: may("number"),
  muted: must("boolean"),
  init: may("string"),
} satisfies ShapeOf<WireTrack>;
const ERROR = { code: must("string"), message: must("string"), retryable: must("boolean") };
const version = must("number");
const track = must("number");

const NOTICE_SHAPES: { [E in keyof Notices]: ShapeOf<Notices[E]> } = {
  "member:joined": { member: must({ object: MEMBER }), version },
  "member:updated": { member: must({ object: MEMBER }), version },
  "member:left": { id: must("string"), reason: must("string"), version },
  "track:published": { track: must({ object: TRACK }), version },
  "track:updated": { track: must({ object: TRACK }), version },
  "track:unpublished": { id: track, member: must("string"), version },
  "track:keyframe-requested": { track },
  "room:updated": { room: must({ object: ROOM }), version },
  "room:closed": { reason: must("string") },
  message: { from: must("string"), topic: may("string"), data: must("json") },
  "media:gap": { track, from: must("number"), to: must("number"), reason: must("string") },
  "node:draining": { reconnectInMs: must("number") },
  error: { event: may("string"), error: must({ object: ERROR }) },
};
const SNAPSHOT = {
  room: must({ object: ROOM }),
  self: must({ object: MEMBER }),
  members: must({ list: MEMBER }),
  tracks: must({ list: TRACK }),
  version,
} satisfies ShapeOf<Snapshot>;
const HEADER = {
  track,
  seq: must("number"),
  ts: must("number"),
  key: may("boolean"),
  dur: may("number"),
  replay: may("boolean"),
} satisfies ShapeOf<ReceivedHeader>;

function expectShape(value: unknown, shape: Shape, where: string): void {
  expect(value, where).toBeTypeOf("object");
  const object = value as Record<string, unknown>;
  for (const key of Object.keys(object))
    expect(Object.keys(shape), `${where}.${key} is known`).toContain(key);
  for (const [key, { is, optional }] of Object.entries(shape)) {
    if (!(key in object)) expect(optional, `${where}.${key} may be left out`).toBe(true);
    else expectKind(object[key], is, `${where}.${key}`);
  }
}

function expectKind(value: unknown, is: Kind, where: string): void {
  if (is === "json") return;
  if (typeof is === "string") expect(value, where).toBeTypeOf(is);
  else if ("object" in is) expectShape(value, is.object, where);
  else
    for (const [index, each] of (value as unknown[]).entries())
      expectShape(each, is.list, `${where}[${index}]`);
}

test("every notice of the fixtures is known and has its shape", () => {
  const sent = fixtures("notices");
  for (const { case: name, event, argument } of sent) {
    expect(NOTICES).toContain(event);
    expectShape(argument, NOTICE_SHAPES[event as keyof Notices], `${name}`);
  }
  expect(new Set(sent.map(({ event }) => event))).toEqual(new Set(NOTICES));
});

test("every leave reason is known", () => {
  const left = fixtures("notices").filter(({ event }) => event === "member:left");
  const reasons = left.map(({ argument }) => (argument as { reason: string }).reason);
  expect(new Set(reasons)).toEqual(new Set(LEAVE_REASONS));
});

test("every acknowledgement of the fixtures has its shape", () => {
  const results: Record<string, Shape> = { room: ROOM, member: MEMBER, track: TRACK };
  let joins = 0;
  for (const { case: name, argument } of fixtures("acknowledgements")) {
    const { ok, ...rest } = argument as Record<string, unknown>;
    if (!ok) {
      expectShape(rest, { error: must({ object: ERROR }) }, `${name}`);
      expect(CONTRACT_CODES).toContain((rest.error as { code: string }).code);
    } else if ("self" in rest) {
      joins += 1;
      expectShape(rest, SNAPSHOT, `${name}`);
    } else {
      for (const [key, value] of Object.entries(rest)) {
        // The acknowledgement of a chunk.
        if (key === "seq") expect(value).toBeTypeOf("number");
        else expectShape(value, results[key] ?? {}, `${name}.${key}`);
      }
    }
  }
  expect(joins).toBeGreaterThan(0);
});

test("every chunk header of the fixtures has its shape", () => {
  for (const { case: name, header } of fixtures("chunks")) expectShape(header, HEADER, `${name}`);
});

test("requests of the fixtures and of the SDK are the same, except media", () => {
  const names: Record<keyof Requests, true> = {
    "room:create": true,
    "room:join": true,
    "room:leave": true,
    "member:update": true,
    "track:publish": true,
    "track:update": true,
    "track:unpublish": true,
    "track:subscribe": true,
    "track:unsubscribe": true,
    "track:request-keyframe": true,
    message: true,
  };
  const known = fixtures("requests").flatMap(({ request }) =>
    request && request !== "media" ? [request] : [],
  );
  expect(new Set(known)).toEqual(new Set(Object.keys(names)));
});

test("error codes are those of the contract, in its order", () => {
  const text = Object.values(CONTRACT)[0] ?? "";
  const table = text.slice(text.indexOf("## Refusals"));
  const codes = [...table.matchAll(/^\| `([a-z_]+)` \|/gm)].map(([, code]) => code);
  expect(codes.slice(0, CONTRACT_CODES.length)).toEqual([...CONTRACT_CODES]);
});
