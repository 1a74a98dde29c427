import type { Command } from 'commander'
import { ShardmillError } from '../errors/index.ts'

/** Completion of commands and options for bash, zsh or fish, made from the program itself. */
export function completionScript(shell: string, program: Command): string {
  const commands = program.commands.map((command) => ({
    name: command.name(),
    about: command.description(),
    options: command.options.flatMap(({ long }) => long ?? []),
    children: command.commands.map((child) => child.name()),
  }))
  const names = commands.map(({ name }) => name).join(' ')
  if (shell === 'fish') {
    return `${[
      'complete -c shardmill -f',
      ...commands.map(
        ({ name, about }) =>
          `complete -c shardmill -n __fish_use_subcommand -a ${name} -d '${about.replace(/'/g, "\\'")}'`,
      ),
      ...commands.flatMap(({ name, options }) =>
        options.map(
          (option) => `complete -c shardmill -n '__fish_seen_subcommand_from ${name}' -l ${option.slice(2)}`,
        ),
      ),
      "complete -c shardmill -n '__fish_seen_subcommand_from build plan verify inspect trace hub' -F",
    ].join('\n')}\n`
  }
  if (shell !== 'bash' && shell !== 'zsh')
    throw new ShardmillError('USAGE', `no completion for ${shell}; there is bash, zsh and fish`)
  const cases = commands
    .map(({ name, options, children }) => `    ${name}) words="${[...children, ...options].join(' ')}" ;;`)
    .join('\n')
  const head = shell === 'zsh' ? 'autoload -U +X bashcompinit && bashcompinit\n' : ''
  return `${head}_shardmill() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words="${names}"
  if [ "$COMP_CWORD" -gt 1 ]; then case "\${COMP_WORDS[1]}" in
${cases}
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _shardmill shardmill
`
}
