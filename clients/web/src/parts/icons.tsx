import type { ComponentChildren } from "preact";

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

const SLASH = <path d="M4 4l16 16" />;

export const Microphone = ({ off = false }) => (
  <Icon>
    <rect x="9" y="3" width="6" height="11" rx="3" />
    <path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3" />
    {off && SLASH}
  </Icon>
);

export const Camera = ({ off = false }) => (
  <Icon>
    <rect x="3" y="6.5" width="12.5" height="11" rx="2.5" />
    <path d="M15.5 11l5-3v8l-5-3z" />
    {off && SLASH}
  </Icon>
);

export const Screen = () => (
  <Icon>
    <rect x="3" y="4.5" width="18" height="12.5" rx="2" />
    <path d="M8.5 20.5h7M12 13.5v-5M9.5 10.5L12 8l2.5 2.5" />
  </Icon>
);

export const Chat = () => (
  <Icon>
    <path d="M4 6.5A2.5 2.5 0 0 1 6.5 4h11A2.5 2.5 0 0 1 20 6.5v7a2.5 2.5 0 0 1-2.5 2.5H11l-4.5 4v-4A2.5 2.5 0 0 1 4 13.5z" />
    <path d="M8 8.5h8M8 11.5h5" />
  </Icon>
);

export const Chart = () => (
  <Icon>
    <path d="M4 20h16M7 16v-5M12 16V6M17 16v-8" />
  </Icon>
);

export const Gear = () => (
  <Icon>
    <path d="M4 7h9M19 7h1M4 12h2M12 12h8M4 17h9M19 17h1" />
    <circle cx="16" cy="7" r="2.3" />
    <circle cx="9" cy="12" r="2.3" />
    <circle cx="16" cy="17" r="2.3" />
  </Icon>
);

export const Link = () => (
  <Icon>
    <path d="M10 14a4 4 0 0 0 5.7 0l3-3a4 4 0 1 0-5.7-5.7L12 6.3" />
    <path d="M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 1 0 11 18.7l1-1" />
  </Icon>
);

export const Leave = () => (
  <Icon>
    <path d="M14 4H7.5A2.5 2.5 0 0 0 5 6.5v11A2.5 2.5 0 0 0 7.5 20H14M10 12h10M16.5 8.5L20 12l-3.5 3.5" />
  </Icon>
);

export const Close = () => (
  <Icon>
    <path d="M6 6l12 12M18 6L6 18" />
  </Icon>
);

export const Send = () => (
  <Icon>
    <path d="M4 12l16-8-6 16-3-6.5z" />
  </Icon>
);

export const Lock = () => (
  <Icon>
    <rect x="5" y="10.5" width="14" height="9.5" rx="2" />
    <path d="M8.5 10.5V8a3.5 3.5 0 0 1 7 0v2.5" />
  </Icon>
);

export const Sound = () => (
  <Icon>
    <path d="M4 9.5h3.5L12 5.5v13l-4.5-4H4zM15.5 9a4 4 0 0 1 0 6M18 6.5a7.5 7.5 0 0 1 0 11" />
  </Icon>
);

export const Logo = () => (
  <svg class="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <rect width="32" height="32" rx="8" />
    <path d="M6 10.5c3.3-2.7 6.7-2.7 10 0s6.7 2.7 10 0" />
    <path d="M6 16.5c3.3-2.7 6.7-2.7 10 0s6.7 2.7 10 0" />
    <path d="M6 22.5c3.3-2.7 6.7-2.7 10 0s6.7 2.7 10 0" />
  </svg>
);
