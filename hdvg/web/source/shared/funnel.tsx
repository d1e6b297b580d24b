// What each rule takes away, in the order of the rules: clips, footage, and a bar of what stays and falls.
import type { ComponentChildren, VNode } from "preact";
import { count, length } from "./format";
import { visible } from "./text";
import "./funnel.css";

export interface Step {
  name: string;
  /** What the step takes away; 0 in the first. */
  clips: number;
  seconds: number;
  /** What is left after it. */
  leftClips: number;
  leftSeconds: number;
  /** In place of the plain name: a link, a switch. */
  shown?: ComponentChildren;
}

export function Funnel({ steps, caption }: { steps: readonly Step[]; caption: string }): VNode {
  const most = Math.max(...steps.map((step) => step.leftClips + step.clips), 1);
  const part = (clips: number): string => `${((100 * clips) / most).toFixed(2)}%`;
  return (
    <div class="funnel-frame">
    <table class="funnel">
      <caption class="visually-hidden">{caption}</caption>
      <thead>
        <tr>
          <th scope="col">step</th>
          <th scope="col" class="number">dropped</th>
          <th scope="col" class="number">left</th>
          <th scope="col" class="number">footage left</th>
          <td class="bar" />
        </tr>
      </thead>
      <tbody>
        {steps.map((step) => (
          <tr key={step.name}>
            <th scope="row">{step.shown ?? visible(step.name)}</th>
            <td class="number">{step.clips ? `−${count(step.clips)}` : ""}</td>
            <td class="number">{count(step.leftClips)}</td>
            <td class="number">{length(step.leftSeconds)}</td>
            <td class="bar" aria-hidden="true">
              <span>
                <i class="stays" style={{ width: part(step.leftClips) }} />
                {step.clips > 0 && <i class="falls" style={{ width: part(step.clips) }} />}
              </span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
    </div>
  );
}
