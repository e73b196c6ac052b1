(async () => {
  "use strict";
  const { cases, colours } = JSON.parse(document.getElementById("volumes").textContent);
  const status = document.getElementById("status");
  const chosen = document.getElementById("case");
  const planes = document.getElementById("planes");
  const fill = document.getElementById("fill");
  const boxes = [...document.querySelectorAll("[data-layer]")];
  const LABEL = 1002; // NIFTI_INTENT_LABEL: NiiVue outlines such volumes, and shows each value in its own colour
  if (!cases.length) return;
  let image, layers;
  try {
    const view = new niivue.Niivue({
      backColor: [0.043, 0.051, 0.063, 1], crosshairColor: [1, 1, 1, 0.35], crosshairWidth: 0.5, crosshairGap: 6,
      isRadiologicalConvention: true, isSliceMM: true, multiplanarShowRender: niivue.SHOW_RENDER.NEVER, logLevel: "error",
    });
    await view.attachToCanvas(document.getElementById("volume"));
    view.setAtlasOutline(1);
    view.setInterpolation(true); // nearest neighbour: what is between voxels was never measured

    const read = (name, nifti, more) => niivue.NVImage.loadFromBase64({
      base64: nifti.slice(nifti.indexOf(",") + 1), name: name + ".nii.gz", ...more,
    });
    const table = (hex, most) => {
      const all = [...Array(most + 1).keys()];
      const part = (at) => all.map(() => parseInt(hex.slice(at, at + 2), 16));
      return { R: part(1), G: part(3), B: part(5), A: all.map((n) => (n ? 255 : 0)), I: all, labels: all.map(String) };
    };
    const shown = () => {
      for (const volume of view.volumes.slice(1)) view.removeVolume(volume);
      for (const box of boxes) {
        const layer = layers[box.dataset.layer];
        if (!layer || !box.checked) continue;
        layer.opacity = Number(fill.value) / 100;
        view.addVolume(layer);
      }
      view.updateGLVolume();
    };
    const open = async () => {
      const found = cases[chosen.value];
      for (const volume of [...view.volumes]) view.removeVolume(volume);
      layers = {};
      for (const { name, nifti } of found.layers) {
        if (name === "image") {
          image = await read(name, nifti, { colormap: "gray", cal_min: 0, cal_max: 255 });
        } else {
          layers[name] = await read(name, nifti, {});
          layers[name].hdr.intent_code = LABEL;
          layers[name].setColormapLabel(table(colours[name], found.most));
        }
      }
      view.addVolume(image);
      for (const box of boxes) box.parentElement.hidden = !(box.dataset.layer in layers);
      view.setIsOrientationTextVisible(found.placed);
      shown();
      status.textContent = "";
      document.title = "ready: " + found.case;
    };
    const kinds = {
      multiplanar: view.sliceTypeMultiplanar, axial: view.sliceTypeAxial,
      coronal: view.sliceTypeCoronal, sagittal: view.sliceTypeSagittal,
    };
    chosen.addEventListener("change", open);
    planes.addEventListener("change", () => view.setSliceType(kinds[planes.value]));
    fill.addEventListener("input", shown);
    for (const box of boxes) box.addEventListener("change", shown);
    view.setSliceType(kinds.multiplanar);
    await open();
  } catch (problem) {
    status.textContent = "The volumes cannot be shown here: " + problem.message;
  }
})();
