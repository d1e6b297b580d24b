// Bundles the three pages into ../built: the same bytes from the same sources and the same package-lock.json.
import { readFile, readdir, rm, writeFile, mkdir } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const built = path.resolve(here, process.argv[2] ?? "../built");
const NAMES = ["explore", "report", "audit"];

/** Folders of packages, as `node_modules/preact` or `node_modules/@preact/signals`, that went into the bundles. */
function packagesOf(inputs) {
  const found = inputs.map((name) => name.match(/^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0]);
  return [...new Set(found.filter(Boolean))].sort();
}

async function licenceOf(folder) {
  const about = JSON.parse(await readFile(path.join(here, folder, "package.json"), "utf8"));
  const names = (await readdir(path.join(here, folder))).filter((name) => /^licen[cs]e/i.test(name)).sort();
  const text = names.length ? await readFile(path.join(here, folder, names[0]), "utf8") : "(the package brings no text)\n";
  return `${about.name} ${about.version} (${about.license})\n\n${text.replaceAll("\r\n", "\n").trim()}\n`;
}

await rm(built, { recursive: true, force: true });
await mkdir(built, { recursive: true });
const result = await build({
  absWorkingDir: here,
  entryPoints: NAMES.map((name) => ({ in: `${name}/main.tsx`, out: name })),
  outdir: built,
  bundle: true,
  minify: true,
  metafile: true,
  format: "iife", // a classic script: modules do not load from file://
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none", // licences.txt holds them
  logLevel: "warning",
});
const licences = await Promise.all(packagesOf(Object.keys(result.metafile.inputs)).map(licenceOf));
await writeFile(path.join(built, "licences.txt"), licences.join(`\n${"-".repeat(80)}\n\n`));
for (const [name, { bytes }] of Object.entries(result.metafile.outputs)) {
  console.log(`${path.basename(name).padEnd(12)} ${(bytes / 1000).toFixed(1).padStart(7)} kB`);
}
