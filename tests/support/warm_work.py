"""Work for the copies of a warm process: what `arguments` say, with words on standard output and standard error."""

import os
import sys
import time

done = []


def main(arguments):
    what, value = arguments
    done.append(what)
    print(what, value, len(done), os.getcwd(), os.environ.get("OF_THE_TEST"), flush=True)
    os.write(2, b"from native code\n")
    if what == "end":
        return int(value)
    if what == "die":
        os.kill(os.getpid(), int(value))
    if what == "wait":
        time.sleep(60)
    return len(sys.stdin.read())
