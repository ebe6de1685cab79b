"""The command ``skbq completion``."""

import argparse
from collections.abc import Iterator, Mapping
from functools import partial

from ._options import Commands
from ._terminal import print_lines

_SCRIPT = """\
_skbq() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
  local command=${{COMP_WORDS[1]}} words=
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="{commands} --help --version"
  else
    case "$command $before" in
{choices}
      *)
        case "$command $word" in
{options}
        esac ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
# Names of files where none of these fits.
complete -o default -F _skbq skbq"""


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    completion = commands.add_parser(
        "completion",
        help="print a script that lets the shell complete words",
        description=(
            "Print a script that lets bash complete commands, options and their "
            "values. Load it with: source <(skbq completion bash)"
        ),
    )
    completion.add_argument("shell", choices=["bash"], help="the shell")
    completion.set_defaults(run=partial(run, commands.choices))


def run(
    parsers: Mapping[str, argparse.ArgumentParser], args: argparse.Namespace
) -> None:
    """Run the command: the script holds all words, so that a key starts no Python."""
    script = _SCRIPT.format(
        commands=" ".join(parsers),
        choices="\n".join(_choices(parsers)),
        options="\n".join(_options(parsers)),
    )
    print_lines([script])


def _choices(parsers: Mapping[str, argparse.ArgumentParser]) -> Iterator[str]:
    """Yield a case for each option with a list of values, or argument with one."""
    for command, parser in parsers.items():
        for action in _shown(parser):
            if action.choices is None:
                continue
            names = action.option_strings or [command]
            cases = "|".join(f'"{command} {before}"' for before in names)
            values = " ".join(map(str, action.choices))
            yield f'      {cases}) words="{values}" ;;'


def _options(parsers: Mapping[str, argparse.ArgumentParser]) -> Iterator[str]:
    """Yield a case for each command: its options, where a word begins with a dash."""
    for command, parser in parsers.items():
        names = [name for action in _shown(parser) for name in action.option_strings]
        long = " ".join(name for name in names if name.startswith("--"))
        yield f'          "{command} -"*) words="{long}" ;;'


def _shown(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield what the help shows; argparse has no public list of it."""
    for action in parser._actions:
        if action.help != argparse.SUPPRESS:
            yield action
