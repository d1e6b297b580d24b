// The draft's rules: switch one off, edit its text, add one, go back, save all as a recipe.
import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { short } from "../shared/format";
import { post } from "./api";
import { isDraft, ownRules, rules, setRules, usable } from "./session";
import { approve, go } from "./view";
import { whatif } from "./whatif";

/** Rules that were switched off in this session, to switch on again. */
const off = signal<Record<string, string>>({});
const said = signal<{ text: string; bad: boolean } | null>(null);

export function RuleList(): VNode {
  const names = [...new Set([...Object.keys(ownRules.value), ...Object.keys(rules.value), ...Object.keys(off.value)])];
  return (
    <section class="panel rules" aria-label="Rules">
      <div class="rules-head">
        <h2>Rules</h2>
        {isDraft.value && <span class="badge">draft</span>}
        {isDraft.value && <button type="button" class="quiet" onClick={() => go({ rules: undefined })}>Back to the dataset's</button>}
      </div>
      <p class="rules-names dim" aria-hidden="true"><span /><span>rule</span><span>asks</span><span title="clips that no other rule drops">alone</span></p>
      <ul>{names.map((name) => <RuleRow key={name} name={name} />)}</ul>
      <AddRule />
      <SaveRecipe />
    </section>
  );
}

function RuleRow({ name }: { name: string }): VNode {
  const text = rules.value[name];
  const own = ownRules.value[name];
  const effect = whatif.value?.rules.find((rule) => rule.rule === name);
  const toggle = (): void => {
    const next = { ...rules.value };
    if (text === undefined) next[name] = off.value[name] ?? own;
    else delete next[name];
    if (text !== undefined) off.value = { ...off.value, [name]: text };
    setRules(inOrder(next));
  };
  const edit = (to: string): void => {
    const next = { ...rules.value };
    if (to.trim()) {
      approve(to.trim());
      next[name] = to.trim();
    } else delete next[name];
    setRules(inOrder(next));
  };
  return (
    <li data-off={text === undefined || undefined}>
      <input type="checkbox" checked={text !== undefined} onChange={toggle} aria-label={`rule ${name} in force`} />
      <span class="mono name" title={name}>{name}</span>
      <input class="mono text" key={text} defaultValue={text ?? off.value[name] ?? own} disabled={text === undefined} aria-label={`condition of ${name}`} onChange={(event) => edit(event.currentTarget.value)} data-changed={(text !== undefined && text !== own) || undefined} spellcheck={false} />
      <span class="dim number" title="clips that it alone drops">{effect && effect.alone > 0 ? `−${short(effect.alone)}` : ""}</span>
    </li>
  );
}

/** The dataset's rules keep their order, new ones stand behind them. */
function inOrder(next: Record<string, string>): Record<string, string> {
  const names = [...Object.keys(ownRules.value).filter((name) => name in next), ...Object.keys(next).filter((name) => !(name in ownRules.value))];
  return Object.fromEntries(names.map((name) => [name, next[name]]));
}

function AddRule(): VNode {
  const add = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const given = new FormData(form);
    const [name, text] = [String(given.get("name")).trim(), String(given.get("text")).trim()];
    if (!/^[a-z][a-z0-9_]*$/.test(name)) return void (said.value = { text: "A name has small letters, digits and _, such as too_dark.", bad: true });
    if (!text) return void (said.value = { text: "A rule wants a condition, such as luma_mean >= 16.", bad: true });
    approve(text);
    setRules(inOrder({ ...rules.value, [name]: text }));
    form.reset();
    said.value = null;
  };
  return (
    <form class="line" onSubmit={add}>
      <input name="name" class="mono" placeholder="name" aria-label="name of a new rule" spellcheck={false} />
      <input name="text" class="mono" placeholder="motion_px_s >= 4" aria-label="condition of a new rule" spellcheck={false} />
      <button type="submit">Add</button>
    </form>
  );
}

function SaveRecipe(): VNode {
  const save = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const name = String(new FormData(event.currentTarget as HTMLFormElement).get("recipe")).trim();
    try {
      const { file, command } = await post<{ file: string; command: string }>("/api/recipe", { name, rules: usable.value });
      said.value = { text: `Saved as ${file}. To use it: ${command}`, bad: false };
    } catch (error) {
      said.value = { text: (error as Error).message, bad: true };
    }
  };
  return (
    <form class="line" onSubmit={save}>
      <input name="recipe" class="mono" placeholder="my_recipe" aria-label="name of the recipe" pattern="[a-z0-9_\-]{1,60}" required spellcheck={false} />
      <button type="submit">Save as a recipe</button>
      <p role="status" class={said.value?.bad ? "lost" : "dim"}>{said.value?.text}</p>
    </form>
  );
}
