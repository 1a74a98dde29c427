/** Short conversations in the shape of a chat set: `{ messages: [{ content, role }, …], source }`. */

import * as texts from './chat-texts.mjs'

const talk = (...contents) =>
  contents.map((content, i) => ({ content, role: i % 2 === 0 ? 'user' : 'assistant' }))
const withSystem = (system, messages) => [{ content: system, role: 'system' }, ...messages]

const OPENERS = ['', '', '', 'Hi! ', 'Quick question: ', 'hey, ', 'Hello there. ']
const THANKS = [
  ['Thanks!', 'You are welcome.'],
  ['thank you, that helps', 'Glad to hear it. Ask again any time.'],
  ['Great 👍', 'Happy to help! 🙂'],
  ['ok got it', 'Good. Anything else?'],
]
/** Conversations of different lengths out of the same turns: some stop early, some go on with thanks. */
function vary(r, messages) {
  const opened = [{ ...messages[0], content: r.pick(OPENERS) + messages[0].content }, ...messages.slice(1)]
  if (opened.length > 2 && r.chance(0.3)) return opened.slice(0, 2)
  return r.chance(0.35) ? [...opened, ...talk(...r.pick(THANKS))] : opened
}

const STYLES = [
  'Answer briefly.',
  'You are a patient teacher.',
  'Explain it so that a ten-year-old understands.',
  'Be factual and friendly.',
  '',
]

function science(r) {
  const messages = vary(r, talk(...r.pick(texts.SCIENCE)))
  return r.chance(0.3) ? withSystem(r.pick(STYLES), messages) : messages
}

function code(r) {
  const [language, task, source, remark, question, answer] = r.pick(texts.CODE)
  const ask = r.pick([
    `How do I ${task} in ${language}?`,
    `Write ${language} code to ${task}.`,
    `${language}: ${task}`,
  ])
  const messages = vary(r, talk(ask, `\`\`\`${language}\n${source}\n\`\`\`\n\n${remark}`, question, answer))
  return r.chance(0.2)
    ? withSystem('You are a careful programmer. Code first, then one sentence.', messages)
    : messages
}

function cooking(r) {
  const dish = r.pick(texts.DISHES)
  const guests = r.int(1, 12)
  const amount = (value, unit) =>
    `${Math.round((value * guests * 10) / dish.serves) / 10}${unit && ` ${unit}`}`
  const list = dish.items.map(([name, value, unit]) => `- ${name}: ${amount(value, unit)}`).join('\n')
  const [missing, instead] = r.pick(texts.SUBSTITUTES)
  const steps = dish.steps.map((step, i) => `${i + 1}. ${step}`).join('\n')
  return vary(
    r,
    talk(
      r.pick([
        `I want to make ${dish.name} for ${guests}. What do I need?`,
        `${dish.name} for ${guests} people please`,
      ]),
      `For ${guests}:\n\n${list}\n\n${steps}`,
      r.pick([`What can I use instead of ${missing}?`, `Ideas for replacing ${missing}?`]),
      `Use ${instead}.`,
    ),
  )
}

function conversion(r) {
  const n = r.int(2, 480)
  const [ask, answer] = r.pick([
    [`How many kilometres are ${n} miles?`, `${n} miles are about ${(n * 1.609344).toFixed(1)} km.`],
    [`Convert ${n} °F to Celsius`, `${n} °F = ${(((n - 32) * 5) / 9).toFixed(1)} °C.`],
    [`what is ${n} kg in pounds`, `${n} kg ≈ ${(n * 2.20462).toFixed(1)} lb.`],
    [`How many minutes are ${n} hours?`, `${n} hours are ${n * 60} minutes.`],
    [`Write ${n} in binary.`, `${n} in binary is ${n.toString(2)}.`],
    [
      `Is ${n} divisible by 7?`,
      n % 7 === 0 ? `Yes: ${n} = 7 × ${n / 7}.` : `No, it leaves a remainder of ${n % 7}.`,
    ],
  ])
  const more = r.int(2, 90)
  return vary(r, talk(ask, answer, `And ${n} times ${more}?`, `${n} × ${more} = ${n * more}.`))
}

function meeting(r) {
  const invited = r.sample(texts.PEOPLE, r.int(3, 6))
  const project = r.pick(texts.PROJECTS)
  const lines = [`Notes of the meeting about ${project}`, '']
  const tasks = []
  const count = r.int(5, 34)
  for (let i = 0, minute = 0; i < count; i++, minute += r.int(0, 4)) {
    const who = r.pick(invited)
    const start = `${9 + Math.floor(minute / 60)}:${String(minute % 60).padStart(2, '0')} ${who}: `
    if (r.chance(0.4)) {
      const [action, owner, day] = [
        r.pick(texts.ACTIONS),
        r.pick(invited),
        r.pick(['Monday', 'Wednesday', 'Friday']),
      ]
      lines.push(`${start}${owner} will ${action} by ${day}.`)
      tasks.push(`- ${owner}: ${action} (by ${day})`)
    } else lines.push(start + r.pick(texts.WORRIES))
  }
  const people = invited.filter((name) => lines.some((line) => line.includes(name)))
  const found = tasks.length > 0 ? [...new Set(tasks)].join('\n') : 'No tasks were agreed.'
  const messages = talk(
    `${r.pick(['List the tasks that were agreed.', 'Who has to do what?', 'Summarise the action items below.'])}\n\n${lines.join('\n')}`,
    `${r.pick(['Agreed in the meeting:', 'Action items:'])}\n\n${found}`,
    'Who was there?',
    people.length === 1
      ? `Only ${people[0]} is named in the notes.`
      : `${people.slice(0, -1).join(', ')} and ${people.at(-1)} are named in the notes.`,
  )
  return r.chance(0.4) ? withSystem('You turn meeting notes into lists. Invent nothing.', messages) : messages
}

function trip(r) {
  const [place, days] = [r.pick(texts.PLACES), r.int(2, 9)]
  const plan = Array.from({ length: days }, (_, i) => {
    const [morning, afternoon] = r.sample(texts.SIGHTS, 2)
    return `**Day ${i + 1}**\n- Morning: ${morning}\n- Afternoon: ${afternoon}`
  })
  return vary(
    r,
    talk(
      `Plan ${days} days in ${place} for ${r.pick(['a family', 'two friends', 'somebody who travels alone', 'my parents'])}.`,
      plan.join('\n\n'),
      'What should I pack?',
      `${r.pick(['Comfortable shoes', 'A light rain jacket'])}, a refillable bottle and ${r.pick(['a plug adapter', 'a small backpack', 'sunscreen'])}.`,
    ),
  )
}

/** A spreadsheet's export: a byte order mark first and CRLF line ends, as people paste them. */
function spreadsheet(r) {
  const items = r.sample(
    ['pens', 'folders', 'cables', 'mugs', 'lamps', 'chairs', 'notebooks', 'labels'],
    r.int(3, 6),
  )
  const counts = items.map(() => r.int(1, 60))
  const csv = `\uFEFFitem,count\r\n${items.map((item, i) => `${item},${counts[i]}`).join('\r\n')}\r\n`
  const total = counts.reduce((sum, count) => sum + count, 0)
  const most = items[counts.indexOf(Math.max(...counts))]
  return talk(
    r.chance(0.6)
      ? `${csv}\r\nWhat is the sum of count?`
      : `What is the sum of count in this file?\r\n${csv}`,
    `The counts add up to ${total}.`,
    'Which item is the largest?',
    `${most}, with ${Math.max(...counts)}.`,
  )
}

/** A terminal's log with colour codes and CRLF. */
function log(r) {
  const host = `${r.pick(['web', 'db', 'cache', 'queue'])}-${r.int(1, 12)}`
  const [level, text, advice] = r.pick([
    [
      'ERROR',
      'ENOSPC: no space left on device, write',
      'The disk is full. Free some space or rotate the logs.',
    ],
    [
      'ERROR',
      'connect ECONNREFUSED 127.0.0.1:5432',
      'Nothing listens on port 5432: the database is not running there.',
    ],
    ['WARN', 'certificate expires in 3 days', 'Renew the certificate before it expires.'],
    [
      'ERROR',
      'out of memory: killed process 4121',
      'The process was killed for memory. Raise its limit or find the leak.',
    ],
  ])
  const lines = Array.from(
    { length: r.int(2, 9) },
    () => `${host} INFO request ${r.int(1000, 9999)} took ${r.int(2, 900)} ms`,
  )
  lines.splice(r.int(0, lines.length), 0, `${host} \u001b[31m${level}\u001b[0m ${text}`)
  const break_ = r.pick(['\r\n', '\n', '\u2028', '\u0085'])
  return talk(
    `What is wrong here?${break_}${break_}${lines.join(break_)}`,
    advice,
    'Which machine is it?',
    `It is ${host}.`,
  )
}

function extraction(r) {
  const [name, place, count] = [r.pick(texts.PEOPLE), r.pick(texts.PLACES), r.int(1, 40)]
  const thing = r.pick(['chairs', 'tickets', 'boxes of tiles', 'bags of coffee'])
  const answer = { name, city: place, quantity: count, item: thing }
  return withSystem(
    'Reply with one JSON object and nothing else.',
    talk(
      r.pick([
        `${name} from ${place} wants ${count} ${thing}.`,
        `Please send ${count} ${thing} to ${name} in ${place}!`,
      ]),
      JSON.stringify(answer, null, r.pick([0, 2])),
      'Make it ten more.',
      JSON.stringify({ ...answer, quantity: count + 10 }),
    ),
  )
}

function emoji(r) {
  const [[a, b], [c, d]] = r.sample(texts.EMOJI, 2)
  return vary(r, talk(`Say it in emoji: ${a}`, b, `Now: ${c}`, d))
}

/** People do paste a tokenizer's control words; in a message they are ordinary text. */
function markup(r) {
  const token = r.pick(['<|endoftext|>', '<|bos|>', '<|assistant_end|>', '<|user_start|>', '<|python_end|>'])
  const number = r.int(1, 99)
  return vary(
    r,
    talk(
      `What does ${token} mean in a prompt? I saw it ${number} times.`,
      `${token} is a control word of some tokenizers. Typed by hand it is plain text.`,
      `So "${token}${token}" does nothing?`,
      'Right: it is read as brackets, bars and letters.',
    ),
  )
}

function story(r) {
  const [hero, friend] = r.sample(texts.PEOPLE, 2)
  const place = r.pick(texts.PLACES)
  const scenes = [
    `${hero} arrived in ${place} with one suitcase and no map.`,
    `The first night it rained so hard that the street became a small river, and the lamps trembled in it.`,
    `In the morning ${friend} knocked and asked for sugar, which was a way of asking who had moved in.`,
    `They began to talk about clocks, since ${friend} mended them, and about ships, since ${hero} had lived on one.`,
    `Whoever passed the workshop that winter heard two people laugh at things that nobody else found funny.`,
    `Then a letter came. ${hero} read it twice, folded it and put it under the smallest clock.`,
    `“Will you go?” asked ${friend}, without looking up from a spring as thin as a hair.`,
    `${hero} listened to forty clocks that agreed about nothing but the hour.`,
    `“Not today,” said ${hero}, and wound the one that had stopped.`,
    `Years later the letter was still there, and still nobody had asked what it said.`,
  ]
  const length = r.int(3, scenes.length)
  const told = scenes.filter((_, i) => i < length - 1 || i === scenes.length - 1).join(r.pick([' ', '\n\n']))
  return talk(
    r.pick([
      `Tell me a story in ${length} sentences set in ${place}.`,
      `A story please, with ${hero} and ${friend}.`,
    ]),
    told,
    'Give it a title.',
    r.pick([`The Clocks of ${place}`, 'Not Today', `${hero} and the Fortieth Clock`, 'A Way of Asking']),
  )
}

const spanish = (r) => vary(r, talk(...r.pick(texts.SPANISH)))
function chinese(r) {
  const messages = vary(r, talk(...r.pick(texts.CHINESE)))
  return r.chance(0.3) ? withSystem('你是一个简洁的助手。', messages) : messages
}

/** [maker, how often, name in the `source` column] */
const MAKERS = [
  [science, 10, 'science'],
  [code, 10, 'code'],
  [cooking, 12, 'cooking'],
  [conversion, 18, 'conversion'],
  [meeting, 14, 'meeting'],
  [trip, 12, 'trip'],
  [spreadsheet, 8, 'spreadsheet'],
  [log, 8, 'log'],
  [extraction, 10, 'extraction'],
  [emoji, 5, 'emoji'],
  [markup, 4, 'markup'],
  [story, 10, 'story'],
  [spanish, 5, 'spanish'],
  [chinese, 5, 'chinese'],
]
const WEIGHTED = MAKERS.flatMap(([make, weight, source]) =>
  Array.from({ length: weight }, () => ({ make, source })),
)

/**
 * One row.
 *
 * @param {ReturnType<typeof import('./random.mjs').makeRandom>} r
 */
export function makeChat(r) {
  const { make, source } = r.pick(WEIGHTED)
  return { messages: make(r), source }
}
