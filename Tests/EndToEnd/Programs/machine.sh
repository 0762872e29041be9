# Makes a root of its own at $1, with the packaged units and the binary $2, and becomes its first process, systemd.
# Runs in namespaces of its own: mount, process, network, host name, control group.
set -e
root=$1
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$root"
cd "$root"
for folder in /*; do
    name=${folder#/}
    if [ -L "$folder" ]; then
        cp -P "$folder" "$name"
    elif [ -d "$folder" ]; then
        mkdir "$name"
        case $name in
            dev | etc | proc | root | run | sys | tmp | var) ;;
            *) mount --rbind "$folder" "$name" && mount -o remount,bind,ro "$name" ;;
        esac
    fi
done
mkdir .below
chmod 1777 tmp
mount -t proc proc proc
# Settings of the whole machine are none of its business.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for name in full null random tty urandom zero; do
    touch dev/$name
    mount --bind /dev/$name dev/$name
done
mkdir -p dev/pts dev/shm var/lib var/log var/tmp etc/meshd etc/systemd/system run/upper run/work
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t overlay -o "lowerdir=/usr/local,upperdir=$root/run/upper,workdir=$root/run/work" overlay usr/local
mkdir -p usr/local/bin
cp "$2" usr/local/bin/meshd
mount -t tmpfs -o mode=755 tmpfs run
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\nsystemd-journal:x:101:\nkeys:x:4000:\n' >etc/group
printf 'passwd: files systemd\ngroup: files systemd\nhosts: files\n' >etc/nsswitch.conf
printf '127.0.0.1 localhost\n' >etc/hosts
mkdir -p etc/ssl
cp /etc/ld.so.cache etc/
cp /etc/ssl/openssl.cnf etc/ssl/
: >etc/machine-id
cp "$3"/* etc/systemd/system/
printf '[Unit]\nRequires=sysinit.target sockets.target\nAfter=sysinit.target sockets.target\n' \
    >etc/systemd/system/machine.target
# Nothing of the machine below but its journal.
for unit in /lib/systemd/system/sysinit.target.wants/* /lib/systemd/system/sockets.target.wants/*; do
    case $unit in
        *journal*) ;;
        *) ln -s /dev/null etc/systemd/system/"${unit##*/}" ;;
    esac
done
ip link set lo up
hostname machine
pivot_root . .below
umount -l /.below
cd /
exec env -i container=test PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
    /lib/systemd/systemd --unit=machine.target --log-target=journal
