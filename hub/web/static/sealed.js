// Open sealed sound in the browser: decrypt the file that the sensor encrypted with the private key that a person
// chooses, check that it is of this event, play it and draw its spectrogram. The key and the sound stay in this browser.
import { Decrypter } from "./age-encryption-0.3.1.js";
import { drawSpectrogram } from "./spectrogram.js";

const ENCRYPTED = "age-encryption.org/v1\n"; // first line of a file in the age format, such as a key with a passphrase
const ARMORED = "-----BEGIN AGE ENCRYPTED FILE-----";
const MAX_KEY_BYTES = 65_536;

class Problem extends Error {} // its message is for the person

const keysIn = (text) => text.split("\n").map((line) => line.trim()).filter((line) => line && !line.startsWith("#"));

// Return the bytes of an armored file; other bytes as they are.
const unarmored = (bytes, text) => {
  if (!text.startsWith(ARMORED)) return bytes;
  const lines = text.trim().split("\n").slice(1, -1).map((line) => line.trim());
  return Uint8Array.from(atob(lines.join("")), (character) => character.charCodeAt(0));
};

// Return the private keys of a key file as text, after decrypting it if it has a passphrase.
const readKeys = async (file, passphrase) => {
  if (file.size > MAX_KEY_BYTES) throw new Problem("This file is too large for a key.");
  const bytes = new Uint8Array(await file.arrayBuffer());
  const text = new TextDecoder().decode(bytes);
  if (!text.startsWith(ENCRYPTED) && !text.startsWith(ARMORED)) return keysIn(text);
  if (!passphrase.value) {
    passphrase.closest("label").hidden = false;
    passphrase.focus();
    throw new Problem("This key has a passphrase: enter it, then open the sound again.");
  }
  const decrypter = new Decrypter();
  decrypter.addPassphrase(passphrase.value);
  try {
    return keysIn(await decrypter.decrypt(unarmored(bytes, text), "text"));
  } catch {
    throw new Problem("The passphrase is wrong, or the key file is damaged.");
  }
};

const decrypted = async (sealed, keys) => {
  const decrypter = new Decrypter();
  try {
    for (const key of keys) decrypter.addIdentity(key);
  } catch {
    throw new Problem("This file has no private key (AGE-SECRET-KEY-1...).");
  }
  if (!keys.length) throw new Problem("This file has no private key (AGE-SECRET-KEY-1...).");
  try {
    return await decrypter.decrypt(sealed);
  } catch {
    throw new Problem("This key does not open the sound: it is sealed to another key, or the file is damaged.");
  }
};

// Return the tags of a FLAC file by name. Source: RFC 9639, 8.1 and 8.6.
const tagsOf = (flac) => {
  const view = new DataView(flac.buffer, flac.byteOffset, flac.byteLength);
  const tags = {};
  for (let at = 4, last = false; !last && at + 4 <= flac.length;) {
    const head = view.getUint32(at);
    const start = at + 4;
    last = head >>> 31 === 1;
    at = start + (head & 0xffffff);
    if ((head >>> 24 & 0x7f) !== 4) continue;
    const block = new DataView(flac.buffer, flac.byteOffset + start, at - start);
    let next = 4 + block.getUint32(0, true);
    const count = block.getUint32(next, true);
    next += 4;
    for (let tag = 0; tag < count; tag += 1) {
      const size = block.getUint32(next, true);
      const text = new TextDecoder().decode(flac.subarray(start + next + 4, start + next + 4 + size));
      tags[text.slice(0, text.indexOf("=")).toUpperCase()] = text.slice(text.indexOf("=") + 1);
      next += 4 + size;
    }
  }
  return tags;
};

const open = async (box) => {
  const [file] = box.querySelector("input[type=file]").files;
  if (!file) throw new Problem("Choose the file of the private key first.");
  const keys = await readKeys(file, box.querySelector("input[type=password]"));
  const answer = await fetch(`/api/v1/events/${box.dataset.sealed}/sealed-audio`);
  if (!answer.ok) throw new Problem(`The hub does not have the sound: ${(await answer.json()).detail}`);
  const flac = await decrypted(new Uint8Array(await answer.arrayBuffer()), keys);
  const tags = tagsOf(flac);
  if (tags.TITLE !== box.dataset.sealed) {
    throw new Problem(`The sound is not of this event, but of ${tags.TITLE || "an unknown one"}.`);
  }
  const player = box.querySelector("audio");
  player.src = URL.createObjectURL(new Blob([flac], { type: "audio/flac" }));
  player.hidden = false;
  player.focus();
  const opened = `Opened. The sensor recorded it at ${tags.DATE}, by its own clock.`;
  const figure = box.querySelector("figure");
  try {
    await drawSpectrogram(figure.querySelector("canvas"), flac);
    figure.hidden = false;
  } catch {
    return `${opened} This browser cannot draw its spectrogram.`;
  }
  return opened;
};

document.querySelectorAll("[data-sealed]").forEach((box) => {
  const status = box.querySelector("[role=status]");
  const button = box.querySelector("button");
  button.addEventListener("click", async () => {
    button.disabled = true;
    status.textContent = "Opening";
    try {
      status.textContent = await open(box);
    } catch (error) {
      status.textContent = error instanceof Problem ? error.message : "The sound cannot be opened: it is damaged.";
    }
    button.disabled = false;
  });
  button.disabled = false;
});
