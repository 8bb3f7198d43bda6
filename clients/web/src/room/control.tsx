import type { ComponentChildren } from "preact";

interface Props {
  name: string;
  test: string;
  /** Keyboard shortcut. */
  keys?: string;
  /** State of a toggle. */
  pressed?: boolean;
  act: () => void;
  children: ComponentChildren;
}

/** Round button with an icon. */
export function Control({ name, test, keys, pressed, act, children }: Props) {
  return (
    <button
      type="button"
      class="round"
      aria-label={name}
      title={keys ? `${name} (${keys.toUpperCase()})` : name}
      data-testid={test}
      {...(pressed === undefined ? {} : { "aria-pressed": pressed })}
      {...(keys ? { "aria-keyshortcuts": keys } : {})}
      onClick={act}
    >
      {children}
    </button>
  );
}
