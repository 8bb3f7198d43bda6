import { afterEach, expect, test, vi } from "vitest";
import { connect } from "../../src/connect";
import { parseAddress } from "../../src/connection/address";

afterEach(() => vi.unstubAllGlobals());

const page = (href: string) => vi.stubGlobal("location", new URL(href));

test("address without a scheme is refused with a suggestion", () => {
  for (const [given, write] of [
    ["localhost:8080", "http://localhost:8080"],
    ["localhost", "http://localhost"],
    ["127.0.0.1:8080/", "http://127.0.0.1:8080/"],
    ["[::1]:8080", "http://[::1]:8080"],
    ["weir.example.com", "https://weir.example.com"],
    ["weir.example.com/call", "https://weir.example.com/call"],
    ["weir.example.com:9000", "http://weir.example.com:9000"],
  ] as const) {
    expect(() => parseAddress(given), given).toThrow(`url: "${given}" has no scheme; write "${write}"`);
  }
});

test("invalid address is refused with the reason, and is not retryable", async () => {
  for (const [given, message] of [
    ["", "url: empty"],
    ["  ", "url: empty"],
    ["http://", "is not a URL"],
    ["http://[::1", "is not a URL"],
    ["http://a b", "is not a URL"],
    ["http://localhost:99999", "has the port 99999"],
    ["http://localhost:65536/x", "has the port 65536"],
    ["http://localhost:0", "has the port 0"],
    ["ftp://localhost", 'has the scheme "ftp"'],
    ["mailto:ann@example.com", 'has the scheme "mailto"'],
    ["file:///etc/hosts", 'has the scheme "file"'],
    ["/weir", "is relative"],
    ["//localhost:8080", 'write "http://localhost:8080"'],
    [undefined as unknown as string, "undefined"],
  ] as const) {
    const error = await connect(given).catch((reason) => reason);
    expect(error, given).toMatchObject({ name: "WeirError", code: "bad_request", retryable: false });
    expect(error.message, given).toContain(message);
  }
  await expect(connect([])).rejects.toMatchObject({ code: "bad_request", retryable: false });
  // One invalid address among several is an error as well.
  await expect(connect(["http://localhost:1", "localhost:2"])).rejects.toMatchObject({ code: "bad_request" });
});

test("valid address yields the node's endpoint", () => {
  const { origin, path } = parseAddress("http://localhost:8080");
  expect([origin, path]).toEqual(["http://localhost:8080", "/socket.io/"]);
  expect(parseAddress("https://example.com/call/").path).toBe("/call/socket.io/");
  expect(parseAddress("https://example.com/call/socket.io/").path).toBe("/call/socket.io/");
  expect(parseAddress("wss://[::1]:8443").origin).toBe("wss://[::1]:8443");
  page("https://weir.example.com/room/1");
  expect(parseAddress("/call")).toMatchObject({
    origin: "https://weir.example.com",
    path: "/call/socket.io/",
  });
});

test("only an address that starts with a slash is resolved against the page", () => {
  page("https://weir.example.com/room/1");
  expect(parseAddress("//node.example.com/x").origin).toBe("https://node.example.com");
  for (const given of ["", "::1:8080", "a b", "?node", "#", "weir", "room/2"]) {
    expect(() => parseAddress(given), given).toThrow("url: ");
  }
  expect(parseAddress(new URL("https://node.example.com/x")).path).toBe("/x/socket.io/");
});

test("page over https is refused unencrypted nodes", () => {
  page("https://weir.example.com/");
  expect(() => parseAddress("http://node.example.com")).toThrow("is not encrypted");
  expect(() => parseAddress("ws://node.example.com")).toThrow("is not encrypted");
  expect(parseAddress("http://localhost:8080").origin).toBe("http://localhost:8080");
  expect(parseAddress("wss://node.example.com").origin).toBe("wss://node.example.com");
});
