// How the search orders what it finds: by Sphinx' own scores, but pages that list everything come after guides. A `var`,
// because Sphinx declares it again.
const LAST = { architecture: 20, troubleshooting: 6, results: 4, commands: 2, tutorials: 10 };

var Scorer = {
  // A section whose heading has the words comes before pages that only contain them, but not a name of the API.
  score: ([page, , anchor, , score]) =>
    score + (anchor ? (page === 'api' ? -10 : 8) : 0) - (LAST[page.split('/')[0]] ?? 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
