/** Numbers in the frames of the test picture: writing and reading. */

export const SIZE = { width: 640, height: 360 };
export const RATE = 30;
/** Frames after which the numbers repeat. */
export const FRAMES = 300;
export const BITS = 9;
/** Width and height of a block. */
export const BLOCK = 36;

/** Returns the place of block `at`: one white, one black, the number's bits from the lowest on, their parity. */
export function blockAt(at) {
  return { x: 16 + at * 44, y: SIZE.height - BLOCK - 12 };
}

/** Row of pixels through the middle of all blocks. */
export const ROW = blockAt(0).y + BLOCK / 2;

/** Returns the number in the picture of `context`, of any size, or `undefined` if it is unreadable. */
export function readNumber(context) {
  const { width, height } = context.canvas;
  const row = context.getImageData(0, Math.floor((ROW * height) / SIZE.height), width, 1).data;
  return readRow((x) => row[x * 4 + 1], width);
}

/** Returns the number in a row of `width` pixels. `light` returns a pixel's lightness, 0 to 255. */
export function readRow(light, width) {
  const block = (at) => light(Math.floor(((blockAt(at).x + BLOCK / 2) * width) / SIZE.width));
  const white = block(0);
  const black = block(1);
  if (white - black < 100) return undefined;
  const bit = (at) => (block(at) > (white + black) / 2 ? 1 : 0);
  let number = 0;
  let sum = 0;
  for (let each = 0; each < BITS; each++) {
    number += bit(each + 2) * 2 ** each;
    sum += bit(each + 2);
  }
  return sum % 2 === bit(BITS + 2) && number < FRAMES ? number : undefined;
}
