import { expect, test } from "vitest";
import { type Member, member } from "../../src/members/member";
import { loudness, Speakers } from "../../src/members/speakers";

const who = (id: string): Member => member({ id, name: id, metadata: {}, joinedAt: 0 }, undefined);
const [ann, bob] = [who("ann"), who("bob")];
const names = (speakers: Speakers) => speakers.active.map(({ id }) => id);

test("active speakers are sorted by level and survive a short pause", () => {
  const speakers = new Speakers();
  const levels = (one: number, other: number) =>
    new Map([
      [ann, one],
      [bob, other],
    ]);
  expect(speakers.observe(levels(0.001, 0.2), 0)).toBe(true);
  expect(names(speakers)).toEqual(["bob"]);
  expect(speakers.observe(levels(0.3, 0.001), 400)).toBe(true);
  expect(names(speakers)).toEqual(["ann", "bob"]);
  expect(speakers.observe(levels(0.3, 0.001), 700)).toBe(false);
  expect(speakers.observe(levels(0.3, 0.001), 1_000)).toBe(true);
  expect(names(speakers)).toEqual(["ann"]);
  expect(speakers.observe(new Map(), 1_100)).toBe(true);
  expect(names(speakers)).toEqual([]);
});

test("member's level is that of its loudest track, screens excluded", () => {
  const sound = (source: string, level: number, of: Member) => ({
    track: { kind: "audio" as const, source, level },
    member: of,
  });
  const heard = loudness([
    sound("microphone", 0.1, ann),
    sound("second microphone", 0.4, ann),
    sound("screen-audio", 0.9, bob),
    { track: { kind: "video", source: "camera", level: 0 }, member: bob },
  ]);
  expect([...heard]).toEqual([[ann, 0.4]]);
});
