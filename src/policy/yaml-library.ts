// Imported when the first file in YAML is read. In a module of its own, since a bundler gives the names of a CommonJS
// library only to a static import.
export { isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, parseDocument } from 'yaml';
