// The page of `hdvg explore`.
import { render } from "preact";
import "../shared/theme.css";

render(<p>hdvg explore</p>, document.getElementById("page")!);
