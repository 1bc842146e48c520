# Makes the images that other clusters pull from the internet of what is on the machine, and
# imports them into the Docker engine: $registry/pause, which the kubelet's containerd pulls,
# and $registry/golang:1.26-alpine with what the app's Dockerfile uses of it, Go with the
# compiled standard library, a shell with the usual small tools and the certificate
# authorities. A label has the checksum of what they were made of.
set -euo pipefail
registry=$1 made_of=$2 folder=$3 pause=$4 library=$5 authorities=$6 environ=$7
label=user-service-sandbox/made-of
golang=$registry/golang:1.26-alpine

# import_image IMAGE FOLDER CHANGE... gives a folder its name only when tar has read it all.
import_image() {
  local image=$1 folder=$2 id
  shift 2
  id=$(tar --create --owner=0 --group=0 --mtime=@0 --sort=name --exclude=testdata --exclude='*_test.go' --directory="$folder" . |
    docker import --change="LABEL $label=$made_of" "${@/#/--change=}" -)
  docker tag "$id" "$image"
}

make_images() {
  docker image rm --force "$registry/pause" "$golang" # older ones would stay, without a name
  rm -rf "$folder"
  trap 'rm -rf "$folder"' EXIT
  mkdir -p "$folder/pause"
  cd "$folder"
  cp "$pause" pause/pause
  import_image "$registry/pause" pause 'ENTRYPOINT ["/pause"]' 'USER 65535:65535'

  mkdir -p golang/bin golang/go golang/root golang/etc/ssl/certs golang/usr/bin golang/usr/local
  mkdir -m 1777 golang/tmp
  cp "$authorities" golang/etc/ssl/certs/ca-certificates.crt
  cp "$(command -v busybox)" golang/bin/busybox
  for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "golang/bin/$applet"
  done
  local go=golang/usr/local/go goroot
  goroot=$(go env GOROOT)
  # Links where the file system has them: it is a quarter of a gigabyte.
  cp -al "$goroot" $go 2>/dev/null || { rm -rf $go && cp -a "$goroot" $go; }
  cp -a "$library" "$go/pkg/linux_$(go env GOARCH)"
  # Two thirds of the source are src/cmd, the go command's own programs.
  (cd $go && rm -rf api doc misc test src/cmd)
  import_image "$golang" golang 'WORKDIR /go' "ENV $environ"
}

found=$(docker image inspect --format="{{index .Config.Labels \"$label\"}}" "$registry/pause" "$golang" 2>/dev/null || true)
[ "$found" = "$made_of"$'\n'"$made_of" ] || make_images
# Also if the engine has them from an earlier sandbox, whose registry is gone.
docker push --quiet "$registry/pause"
# An engine that keeps images in containerd asks the registry even for those that it has.
if [[ $(docker info --format='{{.DriverStatus}}') == *io.containerd.snapshotter* ]]; then
  docker push --quiet "$golang"
fi
