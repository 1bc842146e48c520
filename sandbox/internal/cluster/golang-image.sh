# Makes the folder $1 what golang:1.26-alpine has and the app's Dockerfile uses: Go from
# $2 with the compiled standard library from $3, a shell with the usual small tools, and
# the certificate authorities from $4.
set -eu
rm -rf "$1"
mkdir -p "$1/bin" "$1/go" "$1/root" "$1/etc/ssl/certs" "$1/usr/bin" "$1/usr/local"
mkdir -m 1777 "$1/tmp"
cp "$4" "$1/etc/ssl/certs/ca-certificates.crt"
cp "$(command -v busybox)" "$1/bin/busybox"
for applet in $(busybox --list); do
  [ "$applet" = busybox ] || ln -s busybox "$1/bin/$applet"
done
# Links where the file system has them: it is a quarter of a gigabyte.
cp -al "$2" "$1/usr/local/go" 2>/dev/null || { rm -rf "$1/usr/local/go" && cp -a "$2" "$1/usr/local/go"; }
cp -a "$3" "$1/usr/local/go/pkg/linux_$(go env GOARCH)"
# Two thirds of the source are src/cmd, the go command's own programs.
cd "$1/usr/local/go" && rm -rf api doc misc test src/cmd
