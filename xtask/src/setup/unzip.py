"""Lists the members of the zip archive argv[1], or extracts those named on standard input below the folder argv[2].

Exit status 3 says that the archive is damaged; zipfile verifies the checksum of every member that it reads.
"""

import sys
import zipfile
import zlib

try:
    with zipfile.ZipFile(sys.argv[1]) as archive:
        if len(sys.argv) == 2:
            for name in archive.namelist():
                print(name)
        else:
            for name in sys.stdin.read().splitlines():
                archive.extract(name, sys.argv[2])
except (zipfile.BadZipFile, zlib.error, EOFError) as error:
    print(error, file=sys.stderr)
    sys.exit(3)
except OSError as error:
    print(error, file=sys.stderr)
    sys.exit(4)
