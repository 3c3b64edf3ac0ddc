# Delegates to CMake: `npx node-gyp rebuild` gives the same build/Release/anneal.node as `cmake-js build`.
# package.json says "gypfile": false, so that npm never starts this by itself, and does not publish this file.
{
  "targets": [
    {
      "target_name": "anneal",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "message": "Building anneal.node with CMake",
          "inputs": [
            "CMakeLists.txt",
            "<!@(node -p \"fs.readdirSync('native',{recursive:true}).filter(f=>/[.](cc|h)$/.test(f)).map(f=>'native/'+f).join(' ')\")",
          ],
          "outputs": ["<(PRODUCT_DIR)/anneal.node"],
          "action": [
            "node",
            "<!(node -p \"require.resolve('cmake-js/bin/cmake-js')\")",
            "build",
            "--out",
            "build/cmake",
          ],
        },
      ],
    },
  ],
}
