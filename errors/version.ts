/** Of the package, as records and manifests name it. A test holds it against package.json. */
export const toolVersion = '0.1.0'
