import type { Command } from 'commander'
import { ShardmillError } from '../errors/index.ts'

/** Arguments that are files or folders. */
const pathArguments = ['recipe', 'dir', 'shard']

/** Completion of commands and options for bash, zsh or fish, made from the program itself. */
export function completionScript(shell: string, program: Command): string {
  const commands = program.commands.map((command) => ({
    name: command.name(),
    about: command.description(),
    options: command.options.flatMap(({ long }) => long ?? []),
    children: command.commands.map((child) => child.name()),
    takesFile: command.registeredArguments.some((argument) => pathArguments.includes(argument.name())),
  }))
  const names = commands.map(({ name }) => name).join(' ')
  const takingFiles = commands.filter(({ takesFile }) => takesFile).map(({ name }) => name)
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
      ...commands.flatMap(({ name, children }) =>
        children.length === 0
          ? []
          : `complete -c shardmill -n '__fish_seen_subcommand_from ${name}' -a '${children.join(' ')}'`,
      ),
      `complete -c shardmill -n '__fish_seen_subcommand_from ${takingFiles.join(' ')}' -F`,
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
