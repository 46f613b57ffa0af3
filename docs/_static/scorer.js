// How the search orders what it finds: by Sphinx' own scores, but pages that list everything come after guides. A `var`,
// because Sphinx declares it again.
const LAST = { architecture: 20, api: 18, troubleshooting: 6, results: 4, commands: 2 };

var Scorer = {
  // A section whose heading has the words comes before pages that only contain them.
  score: ([page, , anchor, , score]) => score + (anchor ? 8 : 0) - (LAST[page] ?? 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
