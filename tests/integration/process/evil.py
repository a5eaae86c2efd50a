"""Programs that more than one of the tests start."""

SLEEPER = "import time\nprint('up', flush=True)\ntime.sleep(1000)"
HIDDEN_CHILD = (
    "import os, sys, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    os.execve(sys.executable, [sys.executable, '-I', '-S', '-c', 'import time; time.sleep(1000)',"
    " sys.argv[1]], {})\n"
    "print('up', flush=True)\n"
    "time.sleep(1000)"
)
LEAVER = (
    "import os, sys, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    while True:\n"
    "        if os.getppid() == 1 or os.path.exists('over'): os.write(1, b'later ' * 10_000)\n"
    "        open('alive', 'a').write('.')\n"
    "        time.sleep(0.02)\n"
    "print('begun', flush=True)\n"
)
