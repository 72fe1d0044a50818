# FFmpeg for tools/bundle, in $work/installed: from Debian's source package, with what t2v reads and writes and no more.
# What its encoders are linked to is unpacked in $work/sysroot. Sourced, never run.
# shellcheck shell=bash

triplet=x86_64-linux-gnu

# Headers and libraries that quickstart does not install, and FFmpeg's assembler.
ffmpeg_packages=(nasm zlib1g-dev libnuma1 libx264-dev libx264-164 libx265-dev libx265-199 libvpx-dev libvpx7
  libaom-dev libaom3 libwebp-dev libwebp7 libwebpmux3 libwebpdemux2 libopus-dev libopus0)

ffmpeg_libraries=(libx264 libx265 libvpx libaom libwebp libopus zlib)
ffmpeg_encoders=(libx264 libx265 prores_ks ffv1 libaom_av1 libvpx_vp9 gif libwebp_anim png mjpeg rawvideo
  wrapped_avframe aac libopus pcm_s16le)
ffmpeg_decoders=(h264 hevc prores ffv1 libaom_av1 vp8 vp9 gif webp png apng mjpeg mpeg4 mpegvideo mpeg1video
  mpeg2video h263 flv msmpeg4v2 msmpeg4v3 wmv1 wmv2 theora rawvideo wrapped_avframe bmp tiff
  aac ac3 alac eac3 flac mp1 mp2 mp3 opus vorbis dca wmav1 wmav2
  pcm_u8 pcm_s16le pcm_s16be pcm_s24le pcm_s24be pcm_s32le pcm_f32le)
ffmpeg_parsers=(h264 hevc av1 vp8 vp9 png webp gif mjpeg mpeg4video mpegvideo h263 aac ac3 flac
  mpegaudio opus vorbis dca)
ffmpeg_demuxers=(mov matroska avi gif apng image2 image_png_pipe image_jpeg_pipe image_webp_pipe image_bmp_pipe
  image_tiff_pipe yuv4mpegpipe mpegts mpegps ogg ivf flv asf
  h264 hevc m4v mpegvideo aac ac3 eac3 dts mp3)   # by which streams of mpegts and mpegps are known
ffmpeg_muxers=(mp4 mov matroska webm avi gif webp image2 yuv4mpegpipe)
ffmpeg_filters=(buffer buffersink scale format null split palettegen paletteuse
  abuffer abuffersink aformat aresample anull)
ffmpeg_bitstream_filters=(h264_mp4toannexb hevc_mp4toannexb extract_extradata vp9_superframe av1_metadata
  aac_adtstoasc)

ffmpeg_source() { find "$work" -maxdepth 1 -type d -name 'ffmpeg-*' -print -quit; }
ffmpeg_version() { dpkg-parsechangelog -l "$(ffmpeg_source)/debian/changelog" -S Version; }

# package_in_sysroot LIBRARY: the package that it was unpacked from.
package_in_sysroot() { awk -v file="./${1#"$work/sysroot/"}" '$2 == file { print $1; exit }' "$work/contents"; }

# apt_here ARGUMENT...: apt-get with lists and packages of its own, sources included.
apt_here() {
  apt-get -o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User="$(id -un)" "$@"
}

get_sources() {
  begin sources "FFmpeg and what its encoders need, from Debian"
  local suites="$work/apt/sources.list" package
  mkdir -p "$work"/apt/{lists,cache/archives}/partial "$work/packages"
  apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' | sort -u |
    sed -n 's|^\([^ ]*\) \(bookworm[a-z-]*\)$|deb \1 \2 main\ndeb-src \1 \2 main|p' >"$suites"
  [ -s "$suites" ] || fail "apt has no sources of Debian 12 here."
  logged "$work/sources.log" "Debian's lists could not be read." apt_here update
  (cd "$work" && logged "$work/sources.log" "FFmpeg's source could not be fetched." \
    apt_here source --only-source ffmpeg)
  (cd "$work/packages" && logged "$work/sources.log" "packages could not be fetched." \
    apt_here download "${ffmpeg_packages[@]}")
  rm -f "$work/contents.partial" "$work/versions"
  for package in "$work"/packages/*.deb; do
    dpkg-deb --show --showformat '${Package} ${Version}\n' "$package" >>"$work/versions"
    dpkg-deb --fsys-tarfile "$package" | tar -t | sed "s|^|$(dpkg-deb -f "$package" Package) |" >>"$work/contents.partial"
    dpkg-deb --extract "$package" "$work/sysroot"
  done
  mv "$work/contents.partial" "$work/contents"
  finish
}

# names_of PREFIX NAME...: --enable-PREFIX=NAME,...
names_of() {
  local IFS=,
  echo "--enable-$1=${*:2}"
}

build_ffmpeg() {
  local source libraries=$work/sysroot/usr/lib/$triplet
  source=$(ffmpeg_source)
  begin ffmpeg "$(basename "$source"), with what t2v uses"
  mkdir -p "$work/ffmpeg"
  (
    cd "$work/ffmpeg"
    export PATH=$work/sysroot/usr/bin:$PATH PKG_CONFIG_SYSROOT_DIR=$work/sysroot
    export PKG_CONFIG_LIBDIR=$libraries/pkgconfig:$work/sysroot/usr/share/pkgconfig
    logged "$work/configure.log" "FFmpeg could not be configured." "$source/configure" --prefix="$work/installed" \
      --disable-everything --disable-autodetect --disable-programs --disable-doc --disable-network \
      --disable-static --enable-shared --enable-gpl --disable-avdevice --disable-postproc \
      "${ffmpeg_libraries[@]/#/--enable-}" --enable-protocol=file \
      "$(names_of encoder "${ffmpeg_encoders[@]}")" "$(names_of decoder "${ffmpeg_decoders[@]}")" \
      "$(names_of parser "${ffmpeg_parsers[@]}")" "$(names_of demuxer "${ffmpeg_demuxers[@]}")" \
      "$(names_of muxer "${ffmpeg_muxers[@]}")" "$(names_of filter "${ffmpeg_filters[@]}")" \
      "$(names_of bsf "${ffmpeg_bitstream_filters[@]}")" --extra-cflags="-I$work/sysroot/usr/include" \
      --extra-ldflags="-L$libraries -Wl,-rpath-link,$libraries"
    logged "$work/make.log" "FFmpeg could not be built." make -j "$(build_jobs)" install
  )
  finish
}

# make_ffmpeg: what an earlier run made is used again.
make_ffmpeg() {
  if [ ! -e "$work/contents" ]; then get_sources; fi
  if [ ! -e "$work/installed/lib/libavcodec.so" ]; then build_ffmpeg; fi
}
