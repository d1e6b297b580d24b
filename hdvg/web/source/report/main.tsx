// The page of `hdvg report`.
import { render } from "preact";
import "../shared/theme.css";

render(<p>hdvg report</p>, document.getElementById("page")!);
