#!/bin/sh
# A solver process that says what stands beside it, and then does what stands beside it.
here=$(dirname "$0")
cat "$here/says"
. "$here/then"
