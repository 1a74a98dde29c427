/** Takes secrets out of texts for people: tokens, and the credentials and queries (signatures) of URLs. */

/** A URL as an error may show it: origin and path only. */
export function showUrl(url: string | URL): string {
  try {
    const { origin, pathname } = new URL(url)
    return origin + pathname
  } catch {
    return 'an address that is no URL'
  }
}

/** Foreign text (a server's message) made safe to show: no secrets, no control characters, not too long. */
export function scrub(text: string, token: string | undefined): string {
  const open = token === undefined ? text : text.replaceAll(token, '***')
  const clean = open
    .replace(/[\s\x00-\x1f\x7f-\x9f]+/g, ' ')
    .trim()
    .replace(/\bhf_[A-Za-z0-9]{4,}/g, '***')
    .replace(/\b(Bearer|Basic)\s+[^\s"',]+/gi, '$1 ***')
    .replace(/\bhttps?:\/\/[^\s"'<>]+/gi, (url) => showUrl(url))
  return clean.length > 300 ? `${clean.slice(0, 300)}…` : clean
}
