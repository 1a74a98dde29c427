/**
 * Word problems with worked answers in GSM8K's form: `<<expression=result>>` after each step's equals sign and
 * `#### result` on the last line.
 */

const NAMES = [
  'Ada',
  'Bela',
  'Chen',
  'Dario',
  'Esi',
  'Farah',
  'Goran',
  'Hana',
  'Ines',
  'Jonas',
  'Kofi',
  'Lena',
]
const MORE_NAMES = [
  'Mateo',
  'Nadia',
  'Omar',
  'Priya',
  'Quinn',
  'Rosa',
  'Sven',
  'Tariq',
  'Uma',
  'Viktor',
  'Wen',
  'Yara',
]
const GOODS = ['pencils', 'stickers', 'marbles', 'postcards', 'buttons', 'seashells', 'stamps', 'beads']
const FOODS = ['muffins', 'dumplings', 'pretzels', 'tarts', 'samosas', 'waffles', 'empanadas', 'scones']
const PLACES = ['library', 'market', 'museum', 'harbour', 'bakery', 'garden centre', 'theatre', 'workshop']

/** A number as people write it: at most two decimals, none where it is whole. */
const show = (value) => String(Math.round(value * 100) / 100)
const grouped = (value) => show(value).replace(/\B(?=(\d{3})+(?!\d)(?<!\.\d*))/g, ',')
/** `a*b=c` with the calculator call before its own result, as the rows have it. */
const calc = (expression, result) =>
  `${expression.replace(/([*/+-])/g, ' $1 ').trim()} = <<${expression}=${show(result)}>>${show(result)}`
const end = (result) => `#### ${grouped(result)}`

const PROBLEMS = [
  (r, who) => {
    const [packs, size, given] = [r.int(3, 12), r.int(4, 24), r.int(2, 11)]
    const thing = r.pick(GOODS)
    return {
      question: `${who} buys ${packs} packs of ${thing} with ${size} in each pack and gives ${given} to a friend. How many ${thing} does ${who} have left?`,
      answer: `${who} buys ${calc(`${packs}*${size}`, packs * size)} ${thing}.\nAfter the gift there are ${calc(`${packs * size}-${given}`, packs * size - given)} left.\n${end(packs * size - given)}`,
    }
  },
  (r, who) => {
    const [hours, wage, days] = [r.int(2, 9), r.int(9, 28), r.int(3, 6)]
    const place = r.pick(PLACES)
    const total = hours * wage * days
    return {
      question: `${who} works ${hours} hours a day at the ${place} for $${wage} an hour. How many dollars does ${who} earn in ${days} days?`,
      answer: `A day brings $${calc(`${hours}*${wage}`, hours * wage)}.\nIn ${days} days that is $${calc(`${hours * wage}*${days}`, total)}.\n${end(total)}`,
    }
  },
  (r, who) => {
    const [price, off] = [r.int(4, 40) * 5, r.pick([10, 20, 25, 40, 50])]
    const cut = (price * off) / 100
    return {
      question: `A coat costs $${price}. ${who} has a voucher for ${off}% off. How much does ${who} pay?`,
      answer: `The voucher is worth $${calc(`${price}*${off}/100`, cut)}.\nSo ${who} pays $${calc(`${price}-${show(cut)}`, price - cut)}.\n${end(price - cut)}`,
    }
  },
  (r, who) => {
    const [speed, hours, more] = [r.int(8, 24), r.int(2, 6), r.int(3, 30)]
    const way = speed * hours
    return {
      question: `${who} cycles at ${speed} km an hour for ${hours} hours, rests, and then rides another ${more} km. How far does ${who} ride in all?`,
      answer: `Before the rest ${who} rides ${calc(`${speed}*${hours}`, way)} km.\nIn all it is ${calc(`${way}+${more}`, way + more)} km.\n${end(way + more)}`,
    }
  },
  (r, who) => {
    const [trays, each, boxes] = [r.int(4, 15), r.int(6, 18), r.pick([2, 3, 4, 6])]
    const food = r.pick(FOODS)
    const total = trays * each * boxes
    return {
      question: `${who} bakes ${trays * boxes} trays of ${food}, ${each} on every tray, and packs them evenly into ${boxes} boxes. How many ${food} are in one box?`,
      answer: `There are ${calc(`${trays * boxes}*${each}`, total)} ${food}.\nEach box holds ${calc(`${total}/${boxes}`, trays * each)}.\n${end(trays * each)}`,
    }
  },
  (r, who, other) => {
    const [age, times, years] = [r.int(5, 14), r.int(2, 4), r.int(2, 9)]
    return {
      question: `${other} is ${times} times as old as ${who}, who is ${age}. How old will ${other} be in ${years} years?`,
      answer: `${other} is now ${calc(`${times}*${age}`, times * age)} years old.\nIn ${years} years that makes ${calc(`${times * age}+${years}`, times * age + years)}.\n${end(times * age + years)}`,
    }
  },
  (r, who) => {
    const [people, price, drinks] = [r.int(3, 9), r.int(7, 19), r.int(2, 9) + 0.5]
    const food = people * price
    const bill = food + people * drinks
    const paid = Math.ceil(bill / 50) * 50 + r.pick([0, 50])
    return {
      question: `${people} friends each order a $${price} meal and a $${show(drinks)} drink. ${who} pays for everybody with $${paid}. How much change does ${who} get?`,
      answer: `The meals cost $${calc(`${people}*${price}`, food)}.\nThe drinks cost $${calc(`${people}*${show(drinks)}`, people * drinks)}.\nTogether that is $${calc(`${food}+${show(people * drinks)}`, bill)}.\nThe change is $${calc(`${paid}-${show(bill)}`, paid - bill)}.\n${end(paid - bill)}`,
    }
  },
  (r, who) => {
    const [rows, seats, empty, fee] = [r.int(12, 40), r.int(10, 30), r.int(5, 60), r.int(8, 25)]
    const sold = rows * seats - empty
    return {
      question: `A theatre has ${rows} rows of ${seats} seats. ${who} counts ${empty} empty seats. A ticket costs $${fee}. How many dollars came in?`,
      answer: `The theatre seats ${calc(`${rows}*${seats}`, rows * seats)} people.\nTaken were ${calc(`${rows * seats}-${empty}`, sold)} seats.\nThat brings $${calc(`${sold}*${fee}`, sold * fee)}.\n${end(sold * fee)}`,
    }
  },
  (r, who) => {
    const [litres, days, left] = [r.int(3, 12), r.int(5, 20), r.int(4, 50)]
    return {
      question: `${who}'s rain barrel loses ${litres} litres a day. After ${days} days there are ${left} litres in it. How many litres were there at first?`,
      answer: `In ${days} days the barrel lost ${calc(`${litres}*${days}`, litres * days)} litres.\nAt first it held ${calc(`${left}+${litres * days}`, left + litres * days)} litres.\n${end(left + litres * days)}`,
    }
  },
  (r, who) => {
    const [pages, perDay] = [r.int(4, 16) * 30, r.pick([10, 12, 15, 20, 30])]
    const whole = Math.floor(pages / 2 / perDay)
    const half = pages / 2
    return {
      question: `${who}'s book has ${pages} pages and half of it is read. At ${perDay} pages a day, how many full days of reading are left, not counting a last part of a day?`,
      answer: `Half of the book is ${calc(`${pages}/2`, half)} pages.\nAt ${perDay} a day, ${half}/${perDay} gives ${whole} full days.\n${end(whole)}`,
    }
  },
  (r, who) => {
    const [start, drop, rise] = [r.int(-6, 6), r.int(7, 15), r.int(1, 6)]
    const night = start - drop
    return {
      question: `At noon ${who} reads ${start} degrees on the thermometer. By midnight it falls by ${drop} degrees, then it rises by ${rise}. What does it show then?`,
      answer: `At midnight it shows ${start} - ${drop} = <<${start}-${drop}=${night}>>${night} degrees.\nThen it shows ${night} + ${rise} = <<${night}+${rise}=${night + rise}>>${night + rise} degrees.\n${end(night + rise)}`,
    }
  },
]

/**
 * One row, `{ question, answer }`.
 *
 * @param {ReturnType<typeof import('./random.mjs').makeRandom>} r
 */
export function makeSum(r) {
  return r.pick(PROBLEMS)(r, r.pick(NAMES), r.pick(MORE_NAMES))
}
