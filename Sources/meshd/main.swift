import Reactor

Process.exit(Commands.run(Array(CommandLine.arguments.dropFirst())))
