// Prints what the parser has against a document, and the document with every reference in its place.
import { fromFile, Parser } from "@asyncapi/parser";

const { document, diagnostics } = await fromFile(new Parser(), process.argv[2]).parse();
console.log(JSON.stringify({ diagnostics, channels: document?.json().channels }));
