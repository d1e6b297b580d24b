// The page of `hdvg audit`.
import { render } from "preact";
import "../shared/theme.css";

render(<p>hdvg audit</p>, document.getElementById("page")!);
