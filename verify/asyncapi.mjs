// Holds schemas/asyncapi.yaml against AsyncAPI's own parser.
//
// Usage: node asyncapi.mjs NODE_FOLDER FILE
//
// NODE_FOLDER is where `npm install` put the parser. Ends with 0 when the file is sound: neither
// errors nor warnings.

import { createRequire } from "node:module";
import { resolve } from "node:path";

const [folder, file] = process.argv.slice(2);
const { Parser, fromFile } = createRequire(resolve(folder, "package.json"))("@asyncapi/parser");

// https://docs.stoplight.io/docs/spectral: 0 is an error, 1 a warning.
const WARNING = 1;
const { document, diagnostics } = await fromFile(new Parser(), resolve(file)).parse();
const bad = diagnostics.filter(({ severity }) => severity <= WARNING);
for (const { code, message, path } of bad) {
  console.error(`asyncapi: does not hold: ${path.join(".")}: ${message} (${code})`);
}
if (bad.length > 0 || document === undefined) {
  process.exit(1);
}
const messages = document.allMessages().all().length;
console.log(`asyncapi: ${document.channels().all().length} channels with ${messages} messages are accepted`);
