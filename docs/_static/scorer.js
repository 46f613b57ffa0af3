// How the search orders what it finds: Sphinx' own scores, but reference pages and the changelog of modules come last.
const LAST = { architecture: 20, api: 10, troubleshooting: 6, results: 4, commands: 2 };

// eslint-disable-next-line no-unused-vars
const Scorer = {
  score: ([page, , , , score]) => score - (LAST[page] ?? 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
