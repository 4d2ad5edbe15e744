// Follows the TUF metadata of an unpacked mirror with tuf-js and downloads targets:
//   node visit.js HOME SITE TARGET...
// HOME has root.json; downloads go to HOME/download.
const path = require('path');
const { Updater } = require('tuf-js');

const [home, site, ...targets] = process.argv.slice(2);

async function visit() {
  const updater = new Updater({
    metadataDir: home,
    metadataBaseUrl: site + '/tuf',
    targetDir: path.join(home, 'download'),
    targetBaseUrl: site,
    config: { fetchRetries: 0, fetchRetry: 0 },
  });
  await updater.refresh();
  for (const target of targets) {
    const info = await updater.getTargetInfo(target);
    if (!info) throw new Error(target + ' is no target');
    await updater.downloadTarget(info, path.join(home, 'download', encodeURIComponent(target)));
  }
}

visit().catch((error) => {
  console.error(String(error));
  process.exit(1);
});
