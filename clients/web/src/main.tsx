import { render } from "preact";
import { App } from "./app";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/entry.css";
import "./styles/room.css";
import "./styles/panels.css";

const root = document.getElementById("app");
if (root) render(<App />, root);
