/** Multiple choice rows in MMLU's form: a question, its subject, four different choices, the right one's index. */

const CAPITALS = {
  Argentina: 'Buenos Aires',
  Australia: 'Canberra',
  Austria: 'Vienna',
  Bangladesh: 'Dhaka',
  Belgium: 'Brussels',
  Canada: 'Ottawa',
  Chile: 'Santiago',
  Colombia: 'Bogotá',
  Croatia: 'Zagreb',
  Denmark: 'Copenhagen',
  Ecuador: 'Quito',
  Egypt: 'Cairo',
  Estonia: 'Tallinn',
  Ethiopia: 'Addis Ababa',
  Finland: 'Helsinki',
  Ghana: 'Accra',
  Greece: 'Athens',
  Hungary: 'Budapest',
  Iceland: 'Reykjavík',
  Indonesia: 'Jakarta',
  Iran: 'Tehran',
  Ireland: 'Dublin',
  Jamaica: 'Kingston',
  Japan: 'Tokyo',
  Jordan: 'Amman',
  Kenya: 'Nairobi',
  Latvia: 'Riga',
  Lebanon: 'Beirut',
  Lithuania: 'Vilnius',
  Mongolia: 'Ulaanbaatar',
  Morocco: 'Rabat',
  Nepal: 'Kathmandu',
  'New Zealand': 'Wellington',
  Norway: 'Oslo',
  Oman: 'Muscat',
  Peru: 'Lima',
  Poland: 'Warsaw',
  Portugal: 'Lisbon',
  Romania: 'Bucharest',
  Senegal: 'Dakar',
  Serbia: 'Belgrade',
  Slovakia: 'Bratislava',
  'South Korea': 'Seoul',
  Sweden: 'Stockholm',
  Thailand: 'Bangkok',
  Turkey: 'Ankara',
  Uganda: 'Kampala',
  Ukraine: 'Kyiv',
  Uruguay: 'Montevideo',
  Vietnam: 'Hanoi',
  Zambia: 'Lusaka',
  Zimbabwe: 'Harare',
}
const ELEMENTS = {
  hydrogen: 'H',
  helium: 'He',
  lithium: 'Li',
  carbon: 'C',
  nitrogen: 'N',
  oxygen: 'O',
  fluorine: 'F',
  neon: 'Ne',
  sodium: 'Na',
  magnesium: 'Mg',
  aluminium: 'Al',
  silicon: 'Si',
  phosphorus: 'P',
  sulfur: 'S',
  chlorine: 'Cl',
  argon: 'Ar',
  potassium: 'K',
  calcium: 'Ca',
  titanium: 'Ti',
  chromium: 'Cr',
  manganese: 'Mn',
  iron: 'Fe',
  cobalt: 'Co',
  nickel: 'Ni',
  copper: 'Cu',
  zinc: 'Zn',
  bromine: 'Br',
  silver: 'Ag',
  tin: 'Sn',
  iodine: 'I',
  tungsten: 'W',
  platinum: 'Pt',
  gold: 'Au',
  mercury: 'Hg',
  lead: 'Pb',
  uranium: 'U',
}
const ANATOMY = {
  'pumps blood through the body': 'heart',
  'filters waste from the blood to form urine': 'kidney',
  'exchanges oxygen and carbon dioxide with the air': 'lung',
  'produces bile': 'liver',
  'stores bile': 'gallbladder',
  'produces insulin': 'pancreas',
  'absorbs most nutrients': 'small intestine',
  'joins muscle to bone': 'tendon',
  'joins bone to bone': 'ligament',
  'focuses light in the eye': 'lens',
  'coordinates balance and fine movement': 'cerebellum',
  'carries urine to the bladder': 'ureter',
  'carries air from the larynx to the bronchi': 'trachea',
  'filters old red blood cells': 'spleen',
  'regulates metabolism from the neck': 'thyroid',
  'detects light': 'retina',
}
const COMPUTING = {
  'a first in, first out collection': 'queue',
  'a last in, first out collection': 'stack',
  'pairs of keys and values with expected constant-time look-up': 'hash table',
  'a tree whose every parent is no greater than its children': 'heap',
  'nodes and the edges between them': 'graph',
  'a tree that shares prefixes of strings': 'trie',
  'a fixed run of equally sized slots': 'array',
  'nodes that each point at the next': 'linked list',
  'a small summary that may answer "perhaps" but never a wrong "no"': 'Bloom filter',
  'an acyclic structure that hashes its children': 'Merkle tree',
}
const ASTRONOMY = {
  'is closest to the Sun': 'Mercury',
  'is the hottest planet': 'Venus',
  'has exactly one large moon': 'Earth',
  'has the volcano Olympus Mons': 'Mars',
  'has the Great Red Spot': 'Jupiter',
  'has the brightest rings': 'Saturn',
  'rotates on its side': 'Uranus',
  'has the moon Triton': 'Neptune',
}
const WORDS = {
  abundant: 'plentiful',
  brief: 'short',
  candid: 'frank',
  diligent: 'hard-working',
  eager: 'keen',
  fragile: 'easily broken',
  genuine: 'real',
  hostile: 'unfriendly',
  idle: 'not working',
  jovial: 'cheerful',
  keen: 'enthusiastic',
  lucid: 'clear',
  meagre: 'scanty',
  novel: 'new',
  obscure: 'little known',
  placid: 'calm',
  quaint: 'charmingly old-fashioned',
  robust: 'sturdy',
  scarce: 'in short supply',
  tedious: 'boring',
  urgent: 'pressing',
  vivid: 'bright',
  wary: 'cautious',
  zealous: 'fervent',
}

/** A question with a table's answer and three of its other answers. */
function fromTable(r, table, subject, ask, wrap = (x) => x) {
  const [key, right] = r.pick(Object.entries(table))
  const others = r.sample(
    Object.values(table).filter((value) => value !== right),
    3,
  )
  return shape(r, ask(key), subject, wrap(right), others.map(wrap))
}

function shape(r, question, subject, right, wrong) {
  const choices = r.shuffled([right, ...wrong])
  return { question, subject, choices, answer: BigInt(choices.indexOf(right)) }
}

/** Three different wrong numbers near the right one. */
function near(r, right) {
  const wrong = new Set()
  while (wrong.size < 3) {
    const value = right + r.int(-12, 12)
    if (value !== right) wrong.add(value)
  }
  return [...wrong].map(String)
}

const KINDS = [
  (r) =>
    fromTable(r, CAPITALS, 'high_school_geography', (country) =>
      r.pick([`What is the capital of ${country}?`, `Which city is the seat of government of ${country}?`]),
    ),
  (r) =>
    fromTable(
      r,
      CAPITALS,
      'high_school_geography',
      (country) => `A traveller flying to the capital of ${country} lands in or near`,
    ),
  (r) => fromTable(r, ELEMENTS, 'high_school_chemistry', (name) => `What is the chemical symbol of ${name}?`),
  (r) =>
    fromTable(
      r,
      ANATOMY,
      'anatomy',
      (role) => `Which structure ${role}?`,
      (organ) => `the ${organ}`,
    ),
  (r) =>
    fromTable(
      r,
      COMPUTING,
      'college_computer_science',
      (what) => `Which data structure is described as ${what}?`,
      (name) => `A ${name}.`,
    ),
  (r) => fromTable(r, ASTRONOMY, 'astronomy', (what) => `Which planet of the solar system ${what}?`),
  (r) => fromTable(r, WORDS, 'miscellaneous', (word) => `Which is nearest in meaning to “${word}”?`),
  (r) => {
    const [a, b, c] = [r.int(2, 12), r.int(2, 12), r.int(1, 40)]
    return shape(
      r,
      `If x = ${a}, what is ${b}x + ${c}?`,
      'elementary_mathematics',
      String(a * b + c),
      near(r, a * b + c),
    )
  },
  (r) => {
    const [p, q] = [r.pick([2, 3, 5, 7, 11]), r.int(2, 9)]
    const value = r.int(10, 400)
    const base = r.pick([2, 8, 16])
    if (r.chance(0.5)) {
      return shape(
        r,
        `How many different values can ${q} digits of base ${p} take?`,
        'high_school_mathematics',
        String(p ** q),
        near(r, p ** q),
      )
    }
    const right = value.toString(base)
    const wrong = r.sample(
      [1, 2, 3, 4, 5, 6, 7].map((d) => (value + d).toString(base)),
      3,
    )
    return shape(
      r,
      `Write the decimal number ${value} in base ${base}.`,
      'high_school_computer_science',
      right,
      wrong,
    )
  },
  (r) => {
    const [mass, speed] = [r.int(1, 20) * 2, r.int(2, 15)]
    const energy = (mass * speed * speed) / 2
    return shape(
      r,
      `A cart of mass ${mass} kg moves at ${speed} m/s.\nWhat is its kinetic energy?`,
      'conceptual_physics',
      `${energy} J`,
      r.sample(
        [mass * speed, mass * speed * speed, energy + mass, 2 * energy + speed]
          .filter((e) => e !== energy)
          .map((e) => `${e} J`)
          .filter((e, i, all) => all.indexOf(e) === i),
        3,
      ),
    )
  },
  (r) => {
    const list = Array.from({ length: 5 }, () => r.int(1, 30))
    const middle = [...list].sort((a, b) => a - b)[2]
    return shape(
      r,
      `Find the median of the data set ${list.join(', ')}.`,
      'high_school_statistics',
      String(middle),
      near(r, middle),
    )
  },
]

/**
 * One row. Four different choices; where a kind cannot give four, it draws again.
 *
 * @param {ReturnType<typeof import('./random.mjs').makeRandom>} r
 */
export function makeQuestion(r) {
  for (;;) {
    const row = r.pick(KINDS)(r)
    if (new Set(row.choices).size === 4) return row
  }
}
